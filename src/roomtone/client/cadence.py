"""Real time for whoever consumes audio: one tick a frame, on absolute deadlines, so that nothing drifts."""

from __future__ import annotations

import asyncio
from typing import Final

MAX_LATE_S: Final = 0.2
"""A consumer this late is given what it missed at once; what is older is skipped."""


class Cadence:
    """Ticks every `interval_s`, from the first wait on."""

    def __init__(self, interval_s: float, max_late_s: float = MAX_LATE_S) -> None:
        self._interval = interval_s
        self._max_late = max_late_s
        self._start: float | None = None
        self._ticks = 0

    async def wait(self) -> int:
        """Wait for the next tick; at once when it is over already. How many ticks were skipped before it."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        if self._start is None:
            self._start = now
        late = now - (self._start + self._ticks * self._interval)
        skipped = 0
        if late > self._max_late:
            skipped = int((late - self._max_late) / self._interval) + 1
            self._ticks += skipped
            late -= skipped * self._interval
        self._ticks += 1
        # Even a late consumer lets others run: it may never wait for anything else.
        await asyncio.sleep(max(0.0, -late))
        return skipped
