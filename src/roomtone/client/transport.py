"""One connection to a server, of whatever kind: a socket or, in tests, memory."""

from __future__ import annotations

from typing import Protocol


class TransportClosed(Exception):
    """The connection is gone. code: of the server's close frame, None where it vanished without one."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(reason or ("the connection was lost" if code is None else f"closed with code {code}"))
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """Messages in and out, in order. Made connected; who made it closes it."""

    def send(self, data: bytes, *, binary: bool) -> None:
        """Send one message, never blocking. Nothing happens once the connection is gone."""

    @property
    def buffered_bytes(self) -> int:
        """What was given to send() and has not left this process yet."""

    async def receive(self) -> bytes | str:
        """The next message: bytes when binary, str when text. Raises TransportClosed at the end."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send what is buffered, then close properly; within a few seconds even if the peer is stuck."""

    def abort(self) -> None:
        """Cut the connection at once, as a broken cable would."""


class Connector(Protocol):
    """Opens connections to one server, one after another. Closed by whoever made it."""

    async def open(self, url: str | None) -> Transport:
        """A new connection; url: where the server said to come back to, None for the usual address.

        Raises TransportClosed where nobody answers, and where the server refuses over HTTP.
        """

    async def close(self) -> None:
        """Give up whatever the connector itself holds."""
