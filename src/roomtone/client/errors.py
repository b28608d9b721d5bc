"""What can go wrong for a client, and whose fault it is.

RoomtoneError
    ConnectError            the session could not begin, or ended for good
        BadToken, Replaced, Removed, RoomFull, ServerFull, RoomClosed, ProtocolFailure, ServerUnreachable
    CommandRefused          the server did not do what was asked; the session goes on
    CommandLost             the connection broke in between; nobody knows whether it was done
    NotInRoom               the room was not joined, or was left, before this call
    SourceError             what is to be published cannot be read
    ApiError                the HTTP API answered with a problem document (RFC 9457)
    MissingExtra            an optional dependency is not installed; the message names the extra
"""

from __future__ import annotations

from typing import Any, Final

from roomtone.protocol import close_codes
from roomtone.sources import errors as sources


class RoomtoneError(Exception):
    """Base of everything that this package raises on purpose, but for ValueError and TypeError."""


class ConnectError(RoomtoneError):
    """The session could not begin, or is over and will not come back.

    code: the WebSocket close code, None where there was none. retryable: whether trying again may help.
    """

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code

    @property
    def retryable(self) -> bool:
        """Whether the same attempt may succeed later."""
        return close_codes.reconnect_advice(self.code) != "never"


class BadToken(ConnectError):
    """The token is missing, expired, forged or for another room."""


class Replaced(ConnectError):
    """The same identity joined again; the newer session stays."""


class Removed(ConnectError):
    """A moderator or the HTTP API removed this participant."""


class RoomFull(ConnectError):
    """The room is at its capacity."""


class ServerFull(ConnectError):
    """A limit on the server's connections or rooms is reached."""


class RoomClosed(ConnectError):
    """The room was deleted."""


class ProtocolFailure(ConnectError):
    """One side broke the protocol: a fault of this package or of the server, never of the caller."""


class ServerUnreachable(ConnectError):
    """Nobody answers at the address, or not as a Roomtone server does."""


_BY_CODE: Final[dict[int, type[ConnectError]]] = {
    close_codes.WEBSOCKET_ERROR.code: ProtocolFailure,
    close_codes.MESSAGE_TOO_BIG.code: ProtocolFailure,
    close_codes.PROTOCOL_ERROR.code: ProtocolFailure,
    close_codes.BAD_TOKEN.code: BadToken,
    close_codes.REPLACED.code: Replaced,
    close_codes.REMOVED.code: Removed,
    close_codes.ROOM_FULL.code: RoomFull,
    close_codes.SERVER_FULL.code: ServerFull,
    close_codes.ROOM_CLOSED.code: RoomClosed,
}


def connect_error(code: int | None, reason: str = "") -> ConnectError:
    """The error of a close code. reason: what the server said, or why there was no connection at all."""
    if code is None:
        return ServerUnreachable(reason or "the connection was lost")
    entry = close_codes.CLOSE_CODES.get(code)
    if entry is None:
        said = reason or "the connection was closed"
    else:
        # A server says "name: what was wrong", or the name alone, which the code tells already.
        said = reason.removeprefix(entry.name).removeprefix(": ") or entry.meaning
    return _BY_CODE.get(code, ConnectError)(f"{said} (close code {code})", code)


class CommandRefused(RoomtoneError):
    """The server did not do it. code: one of protocol.errors.ERROR_CODES. retryable: may succeed later."""

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.retryable = retryable


class CommandLost(RoomtoneError):
    """The seat was lost before the answer came: nobody can tell whether the command was applied."""

    def __init__(self) -> None:
        super().__init__("the seat was lost before the server answered this command")


class NotInRoom(RoomtoneError):
    """The room is not joined yet, or was left: nothing can be asked of it."""


class SourceError(RoomtoneError, sources.SourceError):
    """What is to be published cannot be played, or not any further. `fault` is for programs, str() for people."""

    @classmethod
    def of(cls, error: sources.SourceError) -> SourceError:
        """The same, as an error of the client."""
        return cls(error.fault, str(error))


class MissingExtra(RoomtoneError):
    """An optional dependency is not installed; the message says what to install."""


class ApiError(RoomtoneError):
    """The HTTP API said no. `problem` is the whole document (RFC 9457), whose title and detail are for people.

    status: the HTTP status, 0 where there was no answer at all. code: stable, and for programs; empty where no
    Roomtone server answered.
    """

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.code = str(problem.get("code", ""))
        self.title = str(problem.get("title", "")) or f"HTTP status {status}"
        self.detail = str(problem.get("detail", ""))
        super().__init__(f"{self.title}: {self.detail}" if self.detail else self.title)
