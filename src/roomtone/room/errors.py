"""Why a room says no. The caller's fault: the room and everybody else go on as before."""

from __future__ import annotations

from typing import Literal

Refusal = Literal["not_permitted", "unknown_track", "unknown_participant", "invalid", "limit_reached", "bad_audio"]


class RoomError(Exception):
    """A refused command. `code` is for programs, str() for people. retryable: may succeed later."""

    def __init__(self, code: Refusal, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.code: Refusal = code
        self.retryable = retryable


class RoomFull(RoomError):
    """The room has its `capacity` of participants."""

    def __init__(self, message: str) -> None:
        super().__init__("limit_reached", message, retryable=True)


class SeatGone(RoomError):
    """The seat was left, removed or replaced before this call."""

    def __init__(self) -> None:
        super().__init__("not_permitted", "the seat is no longer in the room")
