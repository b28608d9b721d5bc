"""Time that passes only when it is told to."""

from __future__ import annotations


class VirtualClock:
    """Monotonic seconds. Hand `clock` itself to whatever asks for a function that tells the time."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> float:
        """Let `seconds` (0 or more) pass; returns the new time."""
        if seconds < 0:
            raise ValueError(f"time does not go back, not even by {-seconds} s")
        self.now += seconds
        return self.now
