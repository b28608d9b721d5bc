"""From whatever a decoder gives to int16 at one rate, to the sample."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from roomtone.media.pcm import Pcm, silence

if TYPE_CHECKING:
    from av import AudioFrame, AudioResampler  # PyAV takes 57 ms and 20 MB: only for who plays something


class SampleLedger:
    """How many samples are owed after so much sound: rounding is carried over, so that it never adds up.

    A resampler gives each item of a playlist a sample more or less than its length; over a day of jingles
    that would be an audible part of a second.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._rest = Fraction(0)

    def owed(self, seconds: Fraction) -> int:
        """Whole samples of an item that lasted `seconds`, with what was left over from those before."""
        exact = seconds * self._rate_hz + self._rest
        whole = int(exact)
        self._rest = exact - whole
        return whole


class Converter:
    """Resamples and mixes one item's frames to `rate_hz` and `channels` (1 or 2), whatever they change to
    midway.

    `push` and `finish` give blocks; together they hold exactly as many samples as the ledger owes for the
    item. The last block is held back until it is known to be whole; a `live` one is given at once, and its
    length is then exact but for the few samples by which a resampler may be ahead.
    """

    def __init__(self, rate_hz: int, channels: int, ledger: SampleLedger, *, live: bool = False) -> None:
        self._rate_hz = rate_hz
        self._channels = channels
        self._ledger = ledger
        self._live = live
        self._resampler: AudioResampler | None = None
        self._format: tuple[str, str, int] | None = None
        self._held: Pcm | None = None
        self._given = 0
        self.seconds = Fraction(0)

    def push(self, frame: AudioFrame) -> Generator[Pcm]:
        if not frame.samples or frame.sample_rate <= 0:
            return
        given = (frame.format.name, frame.layout.name, frame.sample_rate)
        if given != self._format:
            yield from self._drain()
            self._resampler = self._make_resampler()
            self._format = given
        self.seconds += Fraction(frame.samples, frame.sample_rate)
        frame.pts = None  # a file's own idea of time has gaps; sound has none
        assert self._resampler is not None
        for out in self._resampler.resample(frame):
            yield from self._hold(self._array(out))

    def finish(self) -> Generator[Pcm]:
        """The rest, trimmed or filled up to what is owed."""
        yield from self._drain()
        owed = self._ledger.owed(self.seconds) - self._given
        held, self._held = self._held, None
        if held is None:
            held = silence(0, self._channels)
        if owed > len(held):
            # At most a few samples: the last value again is less of a click than a zero.
            last = held[-1:] if len(held) else silence(1, self._channels)
            held = np.concatenate([held, np.repeat(last, owed - len(held), axis=0)])
        if owed > 0:
            yield held[:owed]

    def _make_resampler(self) -> AudioResampler:
        from av import AudioResampler

        layout = "mono" if self._channels == 1 else "stereo"
        return AudioResampler(format="s16", layout=layout, rate=self._rate_hz)

    def _drain(self) -> Generator[Pcm]:
        if self._resampler is not None:
            resampler, self._resampler = self._resampler, None
            for out in resampler.resample(None):
                yield from self._hold(self._array(out))

    def _hold(self, block: Pcm) -> Generator[Pcm]:
        if not len(block):
            return
        if self._live:
            self._given += len(block)
            yield block
            return
        if self._held is not None:
            self._given += len(self._held)
            yield self._held
        self._held = block

    def _array(self, frame: AudioFrame) -> Pcm:
        packed = np.asarray(frame.to_ndarray(), np.int16).reshape(-1)
        return packed if self._channels == 1 else packed.reshape(-1, self._channels)


class Framer:
    """Cuts blocks into frames of exactly `samples`, carrying the rest over to the next block."""

    def __init__(self, samples: int, channels: int) -> None:
        self._samples = samples
        self._shape = (samples,) if channels == 1 else (samples, channels)
        self._buffer: Pcm = np.zeros(self._shape, np.int16)
        self._filled = 0

    def push(self, block: Pcm) -> Generator[Pcm]:
        at = 0
        while at < len(block):
            count = min(self._samples - self._filled, len(block) - at)
            self._buffer[self._filled : self._filled + count] = block[at : at + count]
            self._filled += count
            at += count
            if self._filled == self._samples:
                full, self._buffer, self._filled = self._buffer, np.zeros(self._shape, np.int16), 0
                yield full

    def finish(self) -> Generator[Pcm]:
        """The last frame, filled up with silence, if there is a rest."""
        if self._filled:
            self._buffer[self._filled :] = 0
            full, self._buffer, self._filled = self._buffer, np.zeros(self._shape, np.int16), 0
            yield full
