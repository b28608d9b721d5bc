"""Streams: what the server itself plays into rooms."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from roomtone.server.app import Server


class Streams:
    """The server's streams."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def close(self) -> None:
        """Stop every stream."""
