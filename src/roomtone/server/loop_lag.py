"""How late the event loop is: one timer, ten times a second."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from typing import Final

INTERVAL_S: Final = 0.1
BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class LoopLag:
    """A histogram of how much later than asked a timer fired."""

    def __init__(self) -> None:
        self.sum_s = 0.0
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self._due = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """On the loop that is to be watched."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + INTERVAL_S
        self._handle = loop.call_at(self._due, self._look, loop)

    def stop(self) -> None:
        """Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def add(self, lag_s: float) -> None:
        """One measurement."""
        lag_s = max(0.0, lag_s)
        self.sum_s += lag_s
        self.counts[bisect_left(BOUNDS_S, lag_s)] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, how many up to it), as Prometheus counts them."""
        found = []
        total = 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        self.add(now - self._due)
        self._due = now + INTERVAL_S
        self._handle = loop.call_at(self._due, self._look, loop)
