"""A remote track's packets to frames of sound: jitter buffer, flush, duck, and what was heard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from weakref import finalize

import numpy as np

from roomtone.client.gain import GainRamp
from roomtone.media.codec import make_decoder
from roomtone.media.delay import JitterSettings
from roomtone.media.jitter import JitterBuffer
from roomtone.media.jitter_statistics import JitterStatistics
from roomtone.media.level import rfc6464_level
from roomtone.media.packet import CLOCK_RATE_HZ, CODEC_NAMES, Packet
from roomtone.media.pcm import Pcm
from roomtone.media.resample import Resampler
from roomtone.protocol.messages import TrackInfo

MAX_FRAME_MS: Final = 1_000
MIN_RATE_HZ: Final = 4_000
MAX_RATE_HZ: Final = 192_000
_DRAIN_PULLS_MS: Final = 5_000


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Decoded sound. pcm: int16, (samples,) or (samples, 2). timestamp: of its first sample, in 48 kHz ticks
    of the sender's clock, 0..2**32-1; None before anything came."""

    pcm: Pcm
    sample_rate_hz: int
    timestamp: int | None

    @property
    def duration_ms(self) -> float:
        """How long it lasts."""
        return len(self.pcm) * 1000 / self.sample_rate_hz

    @property
    def level(self) -> int:
        """RFC 6464: 0, the loudest, to 127, silence, in -dBov."""
        return rfc6464_level(self.pcm)


def buffer_rate_hz(sample_rate_hz: int) -> int:
    """The rate that a jitter buffer runs at for output at this one: the same, or 48 kHz where that does not
    divide into its steps of 2.5 ms. Raises ValueError for a rate outside 4,000..192,000."""
    if not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
        raise ValueError(f"sample_rate_hz is {MIN_RATE_HZ} to {MAX_RATE_HZ}, not {sample_rate_hz}")
    return CLOCK_RATE_HZ if sample_rate_hz % 400 else sample_rate_hz


def pull_ms_of(frame_ms: int) -> int:
    """What to pull at once for frames of this length: 20, or 10 where that does not divide them.

    Raises ValueError for frames that are not 10 to 1,000 ms in steps of 10.
    """
    if frame_ms % 10 or not 10 <= frame_ms <= MAX_FRAME_MS:
        raise ValueError(f"frame_ms is 10 to {MAX_FRAME_MS} in steps of 10, not {frame_ms}")
    return 10 if frame_ms % 20 else 20


class Playout:
    """One listener's ear for one track. push() whatever comes, pull() in real time; never waits.

    frame_ms: how much pull() gives, 10 to 1,000 in steps of 10; over 20 it takes at once what comes one after the
    other, so use a jitter setting whose least depth is as long. sample_rate_hz: 4,000..192,000; where a frame is not
    whole samples, such as 10 ms at 22,050 Hz, frames differ by one. on_pull: told of each pull(now) after it.
    Raises ValueError for other settings.
    """

    def __init__(
        self,
        info: TrackInfo,
        settings: JitterSettings,
        *,
        sample_rate_hz: int,
        channels: int,
        frame_ms: int,
        on_pull: Callable[[Playout, float], None] | None = None,
    ) -> None:
        codec = CODEC_NAMES[info.codec]
        pull_ms = pull_ms_of(frame_ms)
        rate_hz = buffer_rate_hz(sample_rate_hz)
        self._resampler = Resampler(rate_hz, sample_rate_hz, info.channels, channels)
        self._decoder = make_decoder(codec, info.channels, rate_hz)
        self._buffer = JitterBuffer(
            settings,
            self._decoder,
            sample_rate_hz=rate_hz,
            channels=info.channels,
            content=info.content,
            pull_ms=pull_ms,
        )
        self._codec = codec
        self._on_pull = on_pull
        self._gain = GainRamp(rate_hz)
        self._pulls = frame_ms // pull_ms
        self._drain_left = _DRAIN_PULLS_MS // frame_ms
        self._started = False
        self._ended = False
        self._emptied = False
        self.sample_rate_hz: Final = sample_rate_hz
        self.frame_ms: Final = frame_ms
        self.timestamp: int | None = None
        self.foreign_packets = 0

    def push(self, packet: Packet, now: float) -> None:
        """One packet of the track; one of another codec than the track's is counted and thrown away."""
        if packet.codec is not self._codec:
            self.foreign_packets += 1
            return
        self._started = True
        self._buffer.push(packet, now)

    def pull(self, now: float) -> Frame:
        """The next frame_ms of sound; silence where there is none."""
        buffer = self._buffer
        if self._ended:
            self._drain_left -= 1
            # What is left does not fill a frame: this one takes it, and the fade-out after it.
            self._emptied = buffer.statistics.buffered_ms < self.frame_ms
        self.timestamp = buffer.playout_timestamp if self._started else None
        parts = [buffer.pop(now) for _ in range(self._pulls)]
        pcm = parts[0] if len(parts) == 1 else np.concatenate(parts)
        frame = Frame(self._resampler.process(self._gain.apply(pcm)), self.sample_rate_hz, self.timestamp)
        if self._on_pull is not None:
            self._on_pull(self, now)
        return frame

    def flush(self, from_sequence: int, now: float) -> None:
        """Everything older than `from_sequence` is not to be heard."""
        self._buffer.flush(from_sequence, now)

    def duck(self, gain_db: float, ramp_ms: float) -> None:
        """Play at `gain_db`, reached in `ramp_ms`."""
        self._gain.move(gain_db, ramp_ms)

    def end(self) -> None:
        """The track was closed: what is buffered is still to be heard."""
        self._ended = True

    @property
    def finished(self) -> bool:
        """Whether the track is closed and everything of it was pulled."""
        if not self._ended:
            return False
        return self._emptied or self._drain_left <= 0 or self._buffer.statistics.buffered_ms <= 0

    def on_gone(self, tell: Callable[[JitterStatistics], None]) -> None:
        """Call `tell` with the last statistics when nobody refers to this any more."""
        finalize(self, _tell_last, self._buffer, tell).atexit = False

    @property
    def statistics(self) -> JitterStatistics:
        """The jitter buffer's."""
        return self._buffer.statistics


def _tell_last(buffer: JitterBuffer, tell: Callable[[JitterStatistics], None]) -> None:
    tell(buffer.statistics)
