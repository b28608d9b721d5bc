"""Keeps write() from sending what nobody could listen to any more: sound that is far ahead of time."""

from __future__ import annotations

from typing import Final

MAX_AHEAD_S: Final = 2.0
"""How far write() may run ahead of time; listeners throw away what is more."""
CATCH_UP: Final = 1.1
"""How much faster than time it may go for ever: a sound device's clock is never quite this one's."""


class WriteLimit:
    """A leaky bucket of sound. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        self._looked_at = 0.0

    def allows(self, duration_s: float, now: float) -> bool:
        """Whether so much more may be sent now; it counts as sent where it may."""
        self._ahead_s = max(0.0, self._ahead_s - (now - self._looked_at) * CATCH_UP)
        self._looked_at = now
        if self._ahead_s + duration_s > MAX_AHEAD_S:
            return False
        self._ahead_s += duration_s
        return True
