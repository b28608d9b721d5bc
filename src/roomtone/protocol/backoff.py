"""When to try to connect again: exponential backoff with full jitter.

After an outage every client comes back at its own moment, not all at once; see M. Brooker, "Exponential
Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST_S: Final = 0.25
EARLY_CAP_S: Final = 4.0
"""In the first minute someone may still be listening to the silence: stay close."""
EARLY_S: Final = 60.0
LATE_CAP_S: Final = 30.0


class Backoff:
    """uniform: returns a number in [0, 1), as random.random does."""

    __slots__ = ("_attempts", "_since", "_uniform")

    def __init__(self, uniform: Callable[[], float]) -> None:
        self._uniform = uniform
        self._attempts = 0
        self._since: float | None = None

    @property
    def attempts(self) -> int:
        """Delays given since the last reset."""
        return self._attempts

    def delay_s(self, now: float) -> float:
        """Seconds to wait before the next attempt: uniform in [0, min(cap, 0.25 * 2**attempts)).

        The cap is 4 s in the first minute since the first failure, 30 s after it.
        """
        if self._since is None:
            self._since = now
        cap = EARLY_CAP_S if now - self._since < EARLY_S else LATE_CAP_S
        ceiling = min(cap, FIRST_S * 2.0 ** min(self._attempts, 10))
        self._attempts += 1
        return self._uniform() * ceiling

    def reset(self) -> None:
        """A session was started: the next failure begins from the start."""
        self._attempts = 0
        self._since = None
