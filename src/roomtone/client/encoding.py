"""A caller's PCM, in pieces of any length, to the encoded frames of a track."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from roomtone.media import opus_packet
from roomtone.media.codec import CODEC_RATES_HZ, make_encoder
from roomtone.media.level import rfc6464_level
from roomtone.media.opus import MAX_BITRATE_BPS, MIN_BITRATE_BPS, SAMPLE_RATES_HZ, Application
from roomtone.media.packet import CLOCK_RATE_HZ, CODEC_NAMES, Codec
from roomtone.media.pcm import SAMPLE_BYTES, Pcm, channels_of, check, from_bytes, samples_in, silence, with_channels
from roomtone.media.resample import Resampler

PcmLike = bytes | bytearray | memoryview | Pcm | npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""s16le bytes, or int16, or floats in -1..1, of the shape (samples,) or (samples, channels)."""

AUDIBLE_LEVEL: Final = 50
"""In -dBov: what is as loud counts as voice where the codec itself does not tell."""


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One codec frame. duration_ticks: 48 kHz ticks. level: 0..127 -dBov. voice: something is to be heard."""

    payload: bytes
    duration_ticks: int
    level: int
    voice: bool


class FrameMaker:
    """Cuts PCM into frames and encodes them, on the caller's thread: 20 ms of Opus take some 0.1 ms.

    sample_rate_hz and channels are those of what is written. Raises ValueError for what a codec has not.
    """

    def __init__(
        self,
        codec: str,
        *,
        sample_rate_hz: int,
        channels: int,
        frame_ms: float,
        bitrate_bps: int,
        application: Application,
    ) -> None:
        self._codec = CODEC_NAMES[codec]
        self._channels = channels
        self._rate_hz = sample_rate_hz
        own_rate = self._codec is Codec.OPUS and sample_rate_hz in SAMPLE_RATES_HZ
        rate_hz = sample_rate_hz if own_rate else CODEC_RATES_HZ[self._codec]
        # Before the frames are cut: 20 ms at 11,025 Hz are no whole samples.
        self._resampler = None if rate_hz == sample_rate_hz else Resampler(sample_rate_hz, rate_hz, channels, channels)
        self._samples = samples_in(frame_ms, rate_hz)
        self._ticks = round(frame_ms * CLOCK_RATE_HZ / 1000)
        self._encoder = make_encoder(
            self._codec,
            channels,
            rate_hz,
            bitrate_bps=bitrate_bps,
            application=application,
        )
        self._rest = silence(0, channels)

    def push(self, pcm: PcmLike) -> list[EncodedFrame]:
        """The frames that are complete now.

        Raises ValueError for samples that are neither int16 nor floats, a shape of over two channels, and half a
        sample of bytes; TypeError for anything else.
        """
        block = self._block(pcm)
        return self._cut(block if self._resampler is None else self._resampler.process(block))

    @property
    def sample_bytes(self) -> int:
        """Of s16le, all channels."""
        return SAMPLE_BYTES * self._channels

    def seconds_of(self, pcm: PcmLike) -> float:
        """How long `pcm` lasts, whatever is in it; 0 for what is no PCM at all."""
        if isinstance(pcm, np.ndarray):
            return len(pcm) / self._rate_hz if pcm.ndim else 0.0
        size = pcm.nbytes if isinstance(pcm, memoryview) else len(pcm) if isinstance(pcm, bytes | bytearray) else 0
        return size / (self.sample_bytes * self._rate_hz)

    def finish(self) -> list[EncodedFrame]:
        """The last frame, filled up with silence; none where nothing is left."""
        frames = [] if self._resampler is None else self._cut(self._resampler.flush())
        if len(self._rest):
            frames += self._cut(silence(self._samples - len(self._rest), self._channels))
        return frames

    def _block(self, pcm: PcmLike) -> Pcm:
        if isinstance(pcm, np.ndarray):
            samples = check(_as_int16(pcm))
            if channels_of(samples) not in (1, 2):
                raise ValueError(f"PCM has 1 or 2 channels, not the shape {pcm.shape}")
            return with_channels(samples, self._channels)
        if not isinstance(pcm, bytes | bytearray | memoryview):
            raise TypeError(f"PCM is s16le bytes or an array of int16 or floats, not {type(pcm).__name__}")
        return from_bytes(bytes(pcm), self._channels)

    def _cut(self, block: Pcm) -> list[EncodedFrame]:
        if len(self._rest):
            block = np.concatenate((self._rest, block))
        count = self._samples
        frames = [self._encode(block[at : at + count]) for at in range(0, len(block) - count + 1, count)]
        # A copy: a caller may use its buffer again.
        self._rest = block[len(frames) * count :].copy()
        return frames

    def clear(self) -> None:
        """Forget what does not fill a frame yet."""
        self._rest = silence(0, self._channels)
        if self._resampler is not None:
            self._resampler.reset()

    def set_bitrate(self, bitrate_bps: int) -> None:
        """From the next frame on; brought within what Opus can do."""
        if self._codec is Codec.OPUS:
            self._encoder.bitrate_bps = min(MAX_BITRATE_BPS, max(MIN_BITRATE_BPS, bitrate_bps))

    def close(self) -> None:
        """Free the encoder."""
        self._encoder.close()

    def _encode(self, pcm: Pcm) -> EncodedFrame:
        payload = self._encoder.encode(pcm)
        level = rfc6464_level(pcm)
        voice = opus_packet.voice_flag(payload) if self._codec is Codec.OPUS else None
        return EncodedFrame(payload, self._ticks, level, level <= AUDIBLE_LEVEL if voice is None else voice)


def _as_int16(pcm: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Floats as sources/pcm.py takes them: full scale is 1, what is beyond is cut off; all else as it is."""
    if not np.issubdtype(pcm.dtype, np.floating):
        return pcm
    scaled = np.nan_to_num(pcm.astype(np.float32)) * 32_767
    return np.rint(np.clip(scaled, -32_768, 32_767)).astype(np.int16)
