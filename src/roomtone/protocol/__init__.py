"""Words on the wire: Roomtone protocol v1. Pure: bytes and `now` in, events and bytes out."""
