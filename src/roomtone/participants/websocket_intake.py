"""How much a peer may send over one connection: what it costs the server is its parsing, whatever becomes of it.

Rates are held by virtual scheduling (ITU-T I.371, the generic cell rate algorithm): what came is due at a
time that moves on with every frame; a peer whose due time lies too far ahead of the clock sends too fast.
"""

from __future__ import annotations

from typing import Final

BURST_S: Final = 2.0
"""A stalled TCP connection delivers all at once: a second of everything, and as much again."""
FRAMES_PER_S_OF_TRACK: Final = 400
"""Frames of 2.5 ms, the shortest that Opus knows."""


class Intake:
    """frames_per_s: of any kind, pings and pongs included. text_bytes_per_s: of control messages."""

    __slots__ = ("_bytes_due", "_frames_due", "_seconds_per_byte", "_seconds_per_frame")

    def __init__(self, *, frames_per_s: float, text_bytes_per_s: float) -> None:
        self._seconds_per_frame = 1 / frames_per_s
        self._seconds_per_byte = 1 / text_bytes_per_s
        self._frames_due = 0.0
        self._bytes_due = 0.0

    def take_frames(self, count: int, now: float) -> bool:
        """So many frames came in one read; False where the peer sends too many."""
        due = self._frames_due
        if due < now:
            due = now
        self._frames_due = due = due + count * self._seconds_per_frame
        return due - now <= BURST_S

    def take_text(self, size: int, now: float) -> bool:
        """A control message of `size` bytes; False where the peer sends too much."""
        due = self._bytes_due
        if due < now:
            due = now
        self._bytes_due = due = due + size * self._seconds_per_byte
        return due - now <= BURST_S
