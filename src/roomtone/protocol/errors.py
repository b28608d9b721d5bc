"""Whose fault it is.

ProtocolError        the peer broke the protocol: the session ends with `close`
CommandError         the peer asked for something it may not or cannot have: answered by an `error` message
"""

from __future__ import annotations

from roomtone.protocol.close_codes import PROTOCOL_ERROR, CloseCode


class ProtocolError(Exception):
    """The peer's bytes break the protocol. `close` says how the session ends, str() says why."""

    def __init__(self, message: str, close: CloseCode = PROTOCOL_ERROR) -> None:
        super().__init__(message)
        self.close = close


class CommandError(Exception):
    """A well-formed command that cannot be carried out. The session goes on.

    code: one of ERROR_CODES, stable, for programs. retryable: the same command may succeed later.
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        assert code in ERROR_CODES, code
        self.code = code
        self.retryable = retryable


ERROR_CODES: dict[str, str] = {
    "not_permitted": "the token's grants, the participant's role or a moderator forbid it",
    "unknown_track": "no such track, or it belongs to someone else",
    "unknown_participant": "nobody of that identity is in the room",
    "invalid": "a field's value is out of range",
    "limit_reached": "a limit, named in the message, is reached",
    "bad_audio": "a binary message is not an audio frame that this track may carry",
    "unsupported": "this server does not know the message",
}
