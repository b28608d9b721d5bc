"""Who can sit in a room, one kind a file. The edge: asyncio adapters that turn their outside into a seat's calls."""
