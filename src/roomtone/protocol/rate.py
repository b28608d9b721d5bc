"""A token bucket: so many a second, with a burst."""

from __future__ import annotations


class TokenBucket:
    """per_s: tokens a second, over 0. burst: tokens at most, at least 1; it begins full. Times in seconds."""

    __slots__ = ("_burst", "_per_s", "_tokens", "_updated")

    def __init__(self, now: float, *, per_s: float, burst: float) -> None:
        if per_s <= 0 or burst < 1:
            raise ValueError(f"a bucket of {per_s} a second and a burst of {burst} lets nothing through")
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._updated = now

    def take(self, now: float) -> bool:
        """One token, if there is one. A clock that goes back gives nothing."""
        tokens = self._tokens
        passed = now - self._updated
        if passed > 0:
            tokens = min(self._burst, tokens + passed * self._per_s)
            self._updated = now
        if tokens < 1:
            self._tokens = tokens
            return False
        self._tokens = tokens - 1
        return True
