"""Why a connection was closed, and whether coming back makes sense. docs/protocol.md carries this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Reconnect = Literal["never", "resume", "later"]
"""never: the same attempt would fail again; resume: at once, with the resume token; later: with backoff."""


@dataclass(frozen=True, slots=True)
class CloseCode:
    """One way for a session to end. `name` is what logs, counters and the WebSocket close reason carry."""

    code: int
    name: str
    reconnect: Reconnect
    meaning: str


NORMAL: Final = CloseCode(1000, "normal", "never", "the client left")
GOING_AWAY: Final = CloseCode(1001, "draining", "resume", "the server stops; come back, here or where it said")
WEBSOCKET_ERROR: Final = CloseCode(1002, "websocket_error", "never", "the bytes are not RFC 6455")
MESSAGE_TOO_BIG: Final = CloseCode(1009, "message_too_big", "never", "a message is over 64 KiB")
INTERNAL_ERROR: Final = CloseCode(1011, "internal_error", "later", "the server failed; the fault is its own")
PROTOCOL_ERROR: Final = CloseCode(4000, "protocol_error", "never", "a message breaks this protocol")
BAD_TOKEN: Final = CloseCode(4001, "bad_token", "never", "the token is missing, expired, forged or for another room")
REPLACED: Final = CloseCode(4002, "replaced", "never", "the same identity joined again; the newer session stays")
REMOVED: Final = CloseCode(4003, "removed", "never", "a moderator or the HTTP API removed the participant")
START_TIMEOUT: Final = CloseCode(4004, "start_timeout", "later", "no session_start within 5 s")
TOO_SLOW: Final = CloseCode(4005, "too_slow", "resume", "audio lay unread for over 10 s, or control overflowed")
ROOM_FULL: Final = CloseCode(4006, "room_full", "later", "the room is at its capacity")
SERVER_FULL: Final = CloseCode(4007, "server_full", "later", "a limit on connections or rooms is reached")
ROOM_CLOSED: Final = CloseCode(4008, "room_closed", "never", "the room was deleted")
IDLE: Final = CloseCode(4009, "idle", "resume", "not a byte came for 25 s")
RATE_LIMITED: Final = CloseCode(4010, "rate_limited", "later", "too many messages a second")

CLOSE_CODES: Final[dict[int, CloseCode]] = {
    entry.code: entry
    for entry in (
        NORMAL,
        GOING_AWAY,
        WEBSOCKET_ERROR,
        MESSAGE_TOO_BIG,
        INTERNAL_ERROR,
        PROTOCOL_ERROR,
        BAD_TOKEN,
        REPLACED,
        REMOVED,
        START_TIMEOUT,
        TOO_SLOW,
        ROOM_FULL,
        SERVER_FULL,
        ROOM_CLOSED,
        IDLE,
        RATE_LIMITED,
    )
}


def reconnect_advice(code: int | None) -> Reconnect:
    """What a client does after this close code. A vanished connection (1006, None) is resumed."""
    if code is None or code == 1006:
        return "resume"
    entry = CLOSE_CODES.get(code)
    return entry.reconnect if entry is not None else "later"
