"""When a publisher is asked to encode at a lower rate: only when none of its listeners keeps up."""

from __future__ import annotations

from typing import Final

VOICE_STEPS_BPS: Final = (32_000, 24_000, 16_000, 12_000)
"""RFC 7587, 3.1.1: fullband speech takes 28 to 40 kbit/s, wideband 16 to 20, narrowband 8 to 12."""
MUSIC_STEPS_BPS: Final = (96_000, 64_000, 48_000, 32_000)
"""From the same table: 48 to 64 kbit/s for fullband mono music, 64 to 128 for stereo."""
LOWER_EVERY_S: Final = 2.0
RAISE_AFTER_S: Final = 5.0
STILL_WEAK_DIVISOR: Final = 4
"""With a quarter of the listeners or more still weak, nothing is raised. Of three or fewer, all must be well;
of a hundred, one that never recovers does not keep the rest at the lowest rate."""


class BitrateLadder:
    """The rate asked of one track. The first of `steps_bps` is what a publisher uses unasked."""

    __slots__ = ("_lowered_at", "_steps_bps", "_well_since", "step")

    def __init__(self, steps_bps: tuple[int, ...] = VOICE_STEPS_BPS) -> None:
        self._steps_bps = steps_bps
        self._lowered_at: float | None = None
        self._well_since: float | None = None
        self.step = 0

    def judge(self, weak: int, listeners: int, now: float) -> int | None:
        """weak: how many of the listeners cannot keep up. The bitrate to ask for, None to leave it.

        A step down at most every LOWER_EVERY_S while all are weak, a step up after each RAISE_AFTER_S of
        health. A track without listeners stays as it is.
        """
        if listeners and weak == listeners:
            self._well_since = None
            if self.step + 1 == len(self._steps_bps):
                return None
            if self._lowered_at is not None and now - self._lowered_at < LOWER_EVERY_S:
                return None
            self._lowered_at = now
            self.step += 1
            return self._steps_bps[self.step]
        if self.step == 0:
            return None
        if not listeners or weak * STILL_WEAK_DIVISOR >= max(listeners, 1):
            self._well_since = None
            return None
        if self._well_since is None:
            self._well_since = now
        if now - self._well_since < RAISE_AFTER_S:
            return None
        self._well_since = now
        self.step -= 1
        return self._steps_bps[self.step]
