"""The Python SDK: join a room, publish, listen. Public names are re-exported by `roomtone`."""
