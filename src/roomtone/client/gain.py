"""Volume that moves in a straight line instead of jumping, which would click."""

from __future__ import annotations

import numpy as np

from roomtone.media.pcm import Pcm

SILENT_BELOW_DB = -60.0


class GainRamp:
    """A gain for a stream of frames at `sample_rate_hz`. It begins at 0 dB."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._rate_hz = sample_rate_hz
        self._gain = 1.0
        self._target = 1.0
        self._left = 0

    def move(self, gain_db: float, ramp_ms: float) -> None:
        """Go to `gain_db` (-60 and below is silence) within `ramp_ms`, from wherever the gain is now."""
        self._target = 0.0 if gain_db <= SILENT_BELOW_DB else 10.0 ** (gain_db / 20.0)
        self._left = round(ramp_ms * self._rate_hz / 1000.0)
        if self._left <= 0:
            self._gain = self._target

    def apply(self, pcm: Pcm) -> Pcm:
        """The next frame with its gain; the same array where nothing is to be done."""
        if self._left <= 0 and self._gain == 1.0:
            return pcm
        count = len(pcm)
        if self._left > 0:
            step = (self._target - self._gain) / self._left
            ramp = min(self._left, count)
            gains = np.full(count, self._target, np.float32)
            gains[:ramp] = self._gain + step * np.arange(1, ramp + 1, dtype=np.float32)
            self._left -= ramp
            self._gain = self._target if self._left <= 0 else float(gains[-1])
            scaled = pcm * (gains if pcm.ndim == 1 else gains[:, None])
        else:
            scaled = pcm * np.float32(self._gain)
        return np.asarray(np.clip(np.rint(scaled), -32_768, 32_767), np.int16)
