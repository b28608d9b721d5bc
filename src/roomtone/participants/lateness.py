"""How late a timer was, as a histogram of fixed size: for hours, without keeping the figures."""

from __future__ import annotations

from typing import Final

BUCKETS_MS: Final = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 50.0, 100.0, 1_000.0)
"""Upper bounds; the last bucket above them has none."""


class Lateness:
    """Counts of lateness in seconds; being early counts as 0."""

    def __init__(self) -> None:
        self.max_ms = 0.0
        self.count = 0
        self._buckets = [0] * (len(BUCKETS_MS) + 1)

    def add(self, seconds: float) -> None:
        late_ms = max(0.0, seconds * 1000)
        self.count += 1
        self.max_ms = max(self.max_ms, late_ms)
        for index, bound in enumerate(BUCKETS_MS):
            if late_ms <= bound:
                self._buckets[index] += 1
                return
        self._buckets[-1] += 1

    def quantile_ms(self, quantile: float) -> float:
        """The upper bound of the bucket that holds that quantile (0..1), at most `max_ms`; 0 before any."""
        wanted = quantile * self.count
        seen = 0
        for bound, count in zip(BUCKETS_MS, self._buckets, strict=False):
            seen += count
            if seen >= wanted:
                return min(bound, self.max_ms)
        return self.max_ms
