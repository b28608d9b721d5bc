"""A resampler for live sound: 1 ms of lag, and the same size out for the same size in from the first call on.

It is PyAV's (libswresample), which lags 1 ms; soxr's lags 37 ms and hands it out in bursts (measured), so
that one is for files.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Final

import numpy as np

from roomtone.media.pcm import Pcm, channels_of, check, silence, with_channels

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler

# libswresample holds half of its 32-tap filter back, counted at the lower of the two rates, but at its start
# the whole of it: so it is started on silence.
_HELD_SAMPLES: Final = 16
# Its rounding to whole samples may keep one or two more.
_SPARE_SAMPLES: Final = 2


class Resampler:
    """From one rate and channel count to another, as a stream.

    from_hz, to_hz: 1,000..384,000. channels_in, channels_out: 1 or 2. After n samples in, exactly n * to_hz
    // from_hz have come out; they are `lag_samples` late, and `flush` gives those.
    """

    def __init__(self, from_hz: int, to_hz: int, channels_in: int = 1, channels_out: int = 1) -> None:
        for rate_hz in (from_hz, to_hz):
            if not 1_000 <= rate_hz <= 384_000:
                raise ValueError(f"a sample rate is 1000..384000 Hz, not {rate_hz}")
        for channels in (channels_in, channels_out):
            if channels not in (1, 2):
                raise ValueError(f"sound has 1 or 2 channels here, not {channels}")
        self.from_hz: Final = from_hz
        self.to_hz: Final = to_hz
        self.channels_in: Final = channels_in
        self.channels_out: Final = channels_out
        # The rate is changed in the fewer channels.
        self._channels = min(channels_in, channels_out)
        self._layout = "mono" if self._channels == 1 else "stereo"
        held = -(-_HELD_SAMPLES * max(from_hz, to_hz) // from_hz) + _SPARE_SAMPLES
        self.lag_samples: Final = 0 if from_hz == to_hz else held
        self._swr: AudioResampler | None = None
        self._taken = 0
        self._given = 0
        self._ready = silence(0, self._channels)

    def process(self, pcm: Pcm) -> Pcm:
        """The next samples, of any number, to samples at the other rate.

        pcm: int16, (samples,) or (samples, channels_in). Raises ValueError for another type or channel count.
        """
        if channels_of(check(pcm)) != self.channels_in:
            raise ValueError(f"PCM of {self.channels_in} channel(s) expected, not the shape {pcm.shape}")
        pcm = with_channels(pcm, self._channels)
        if self.from_hz == self.to_hz:
            return with_channels(pcm, self.channels_out)
        if not len(pcm):
            return silence(0, self.channels_out)
        self._taken += len(pcm)
        if self._swr is None:
            self._swr = self._started()
        self._ready = np.concatenate([self._ready, *map(self._array, self._swr.resample(self._frame(pcm)))])
        due = self._taken * self.to_hz // self.from_hz
        count = due - self._given
        if len(self._ready) < count:
            raise AssertionError(f"the resampler held back {count - len(self._ready)} samples more than it says")
        self._given = due
        out, self._ready = self._ready[:count], self._ready[count:]
        return with_channels(out, self.channels_out)

    def flush(self) -> Pcm:
        """The last `lag_samples`; then the resampler is as new. Nothing if nothing went in."""
        out = silence(0, self._channels)
        if self._swr is not None:
            tail = map(self._array, self._swr.resample(None))
            out = np.concatenate([self._ready, *tail, silence(self.lag_samples, self._channels)])
            out = out[: self.lag_samples]
        self.reset()
        return with_channels(out, self.channels_out)

    def reset(self) -> None:
        """Forget the past: for a new stream."""
        self._taken = 0
        self._given = 0
        self._ready = silence(0, self._channels)
        self._swr = None

    def _started(self) -> AudioResampler:
        """A resampler past its start, with what it gives early left in `_ready`."""
        # Imported on first use: it takes 57 ms and 20 MB, which a server that only forwards never needs.
        from av import AudioResampler

        swr = AudioResampler(format="s16", layout=self._layout, rate=self.to_hz)
        # As much silence as is whole samples at both rates, and more than is held back.
        step = self.from_hz // gcd(self.from_hz, self.to_hz)
        samples = step * (1 + 3 * self.lag_samples * self.from_hz // (self.to_hz * step))
        early = map(self._array, swr.resample(self._frame(silence(samples, self._channels))))
        self._ready = np.concatenate(list(early))[samples * self.to_hz // self.from_hz - self.lag_samples :]
        return swr

    def _frame(self, pcm: Pcm) -> AudioFrame:
        from av import AudioFrame

        frame = AudioFrame.from_ndarray(np.ascontiguousarray(pcm).reshape(1, -1), format="s16", layout=self._layout)
        frame.sample_rate = self.from_hz
        return frame

    def _array(self, frame: AudioFrame) -> Pcm:
        pcm = np.asarray(frame.to_ndarray(), np.int16).reshape(-1)
        return pcm if self._channels == 1 else pcm.reshape(-1, self._channels)
