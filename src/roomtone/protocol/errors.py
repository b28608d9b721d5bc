"""Whose fault it is.

ProtocolError        the peer broke the protocol: the session ends with `close`
CommandError         the peer asked for something it may not or cannot have: answered by an `error` message
HandshakeError       the HTTP request cannot become a session: answered by an HTTP response
TooManyPending       our caller's: more commands than a session holds without an answer
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from roomtone.protocol.close_codes import PROTOCOL_ERROR, CloseCode


class ProtocolError(Exception):
    """The peer's bytes break the protocol. `close` says how the session ends, str() says why."""

    def __init__(self, message: str, close: CloseCode = PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.close = close


class CommandError(Exception):
    """A well-formed command that cannot be carried out. The session goes on.

    code: one of ERROR_CODES, stable, for programs. retryable: the same command may succeed later.
    command_id: of the command at fault, None where the message carries none that could be read.
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False, command_id: int | None = None) -> None:
        super().__init__(message)
        assert code in ERROR_CODES, code
        self.code = code
        self.retryable = retryable
        self.command_id = command_id


class HandshakeError(Exception):
    """The upgrade is refused: answer with this HTTP status and these headers, str() is the body."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers: dict[str, str] = dict(headers or {})


class TooManyPending(RuntimeError):
    """The server owes too many answers: wait for some before the next command."""


ERROR_CODES: Final[dict[str, str]] = {
    "not_permitted": "the token's grants, the participant's role or a moderator forbid it",
    "unknown_track": "no such track, or it belongs to someone else",
    "unknown_participant": "nobody of that identity is in the room",
    "invalid": "a field is missing, of the wrong type or out of range",
    "limit_reached": "a limit, named in the message, is reached",
    "bad_audio": "a binary message is not an audio frame that this track may carry",
    "unsupported": "this server does not know the message",
}
