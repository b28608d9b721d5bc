"""Concealment for codecs that have none of their own (PCM, G.711): the last pitch period goes on and fades.

The idea is that of ITU-T G.711 Appendix I, reduced to what a listener notices: no silence, no click, no buzz.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from roomtone.media.pcm import Pcm, silence

LONGEST_PERIOD_MS: Final = 15.0
"""66 Hz, the lowest pitch looked for (Appendix I has the same)."""
SHORTEST_PERIOD_MS: Final = 5.0
"""200 Hz: a shorter period is repeated as two or three, which sounds less like a tone."""
FADE_MS: Final = 60.0
"""After this much concealment there is silence (Appendix I)."""
MERGE_MS: Final = 4.0
"""How long the return from concealment is cross-faded."""

_Samples = npt.NDArray[np.float32]


class Concealer:
    """Remembers the last 30 ms that were heard, and goes on from there. rate_hz: of the PCM that passes."""

    def __init__(self, rate_hz: int, channels: int = 1) -> None:
        self._channels = channels
        self._shortest = round(rate_hz * SHORTEST_PERIOD_MS / 1000)
        self._longest = round(rate_hz * LONGEST_PERIOD_MS / 1000)
        self._stride = max(1, rate_hz // 8_000)
        self._fade = round(rate_hz * FADE_MS / 1000)
        self._merge = round(rate_hz * MERGE_MS / 1000)
        self.reset()

    def reset(self) -> None:
        """Forget the past: there is nothing to go on from but silence."""
        self._history = silence(2 * self._longest, self._channels)
        self._period: _Samples | None = None
        self._concealed = 0

    def heard(self, pcm: Pcm) -> Pcm:
        """A frame that did arrive: remembered, and joined to concealment before it if there was some."""
        if self._period is not None:
            pcm = self._join(self._period, pcm)
            self._period = None
            self._concealed = 0
        size = len(self._history)
        self._history = (pcm if len(pcm) >= size else np.concatenate([self._history, pcm]))[-size:]
        return pcm

    def conceal(self, samples: int) -> Pcm:
        """`samples` (0 or more) in place of what is missing."""
        if samples < 0:
            raise ValueError(f"{samples} samples cannot be concealed")
        if self._period is None:
            self._period = self._find_period()
        out = self._continue(self._period, samples)
        self._concealed += samples
        return np.asarray(np.rint(out), np.int16)

    def _continue(self, period: _Samples, samples: int) -> _Samples:
        """The next samples of the repeated period, under a straight line down to zero."""
        at = np.arange(self._concealed, self._concealed + samples)
        gain = np.maximum(0.0, 1.0 - at / self._fade).astype(np.float32)
        out: _Samples = period[at % len(period)] * (gain if self._channels == 1 else gain[:, None])
        return out

    def _join(self, period: _Samples, pcm: Pcm) -> Pcm:
        count = min(self._merge, len(pcm))
        up = (np.arange(count, dtype=np.float32) + 1) / (count + 1)
        if self._channels > 1:
            up = up[:, None]
        out = pcm.copy()
        out[:count] = np.rint(self._continue(period, count) * (1 - up) + pcm[:count] * up)
        return out

    def _find_period(self) -> _Samples:
        """The last period of the history, its end blended so that repeats join without a click."""
        history = self._history.astype(np.float32)
        mono = history if self._channels == 1 else history.mean(axis=1)
        # Roughly first, at 8 kHz, then exactly around what was found: 48 kHz would cost 1 ms.
        rough = range(self._shortest, self._longest + 1, self._stride)
        found = self._best_lag(mono, rough, self._stride)
        around = range(max(self._shortest, found - self._stride), min(self._longest, found + self._stride) + 1)
        lag = self._best_lag(mono, around, 1)
        period = history[-lag:].copy()
        blend = max(1, lag // 4)
        down = np.linspace(0.0, 1.0, blend, dtype=np.float32)
        if self._channels > 1:
            down = down[:, None]
        before = history[-lag - blend : -lag]
        period[-blend:] = period[-blend:] * (1 - down) + before * down
        return period

    def _best_lag(self, mono: _Samples, lags: range, stride: int) -> int:
        """The lag at which the newest stretch looks most like an earlier one, by normalised correlation."""
        first = len(mono) - self._longest
        rows = first - np.arange(lags.start, lags.stop, lags.step)
        windows = np.lib.stride_tricks.sliding_window_view(mono, self._longest)[rows, ::stride]
        energy = np.sqrt(np.sum(windows * windows, axis=1)) + 1.0
        return lags[int(np.argmax(windows @ mono[first::stride] / energy))]
