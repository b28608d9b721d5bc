"""A caller's PCM, in pieces of any length, to the encoded frames of a track."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from roomtone.media import opus_packet
from roomtone.media.codec import make_encoder
from roomtone.media.level import rfc6464_level
from roomtone.media.opus import MAX_BITRATE_BPS, MIN_BITRATE_BPS, Application
from roomtone.media.packet import CLOCK_RATE_HZ, CODEC_NAMES, Codec
from roomtone.media.pcm import Pcm, check, from_bytes, samples_in, silence, with_channels

PcmLike = bytes | bytearray | memoryview | Pcm
"""s16le bytes, or int16 of the shape (samples,) or (samples, channels)."""

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
        content: Literal["voice", "music"],
    ) -> None:
        self._codec = CODEC_NAMES[codec]
        self._channels = channels
        self._samples = samples_in(frame_ms, sample_rate_hz)
        self._ticks = round(frame_ms * CLOCK_RATE_HZ / 1000)
        self._encoder = make_encoder(
            self._codec,
            channels,
            sample_rate_hz,
            bitrate_bps=bitrate_bps,
            application=Application.VOIP if content == "voice" else Application.AUDIO,
        )
        self._rest = silence(0, channels)

    def push(self, pcm: PcmLike) -> list[EncodedFrame]:
        """The frames that are complete now. Raises ValueError for samples that are not int16."""
        if isinstance(pcm, np.ndarray):
            block = with_channels(check(pcm), self._channels)
        else:
            block = from_bytes(bytes(pcm), self._channels)
        if len(self._rest):
            block = np.concatenate((self._rest, block))
        count = self._samples
        frames = [self._encode(block[at : at + count]) for at in range(0, len(block) - count + 1, count)]
        # A copy: a caller may use its buffer again.
        self._rest = block[len(frames) * count :].copy()
        return frames

    def finish(self) -> list[EncodedFrame]:
        """The last frame, filled up with silence; none where nothing is left."""
        if not len(self._rest):
            return []
        return self.push(silence(self._samples - len(self._rest), self._channels))

    def clear(self) -> None:
        """Forget what does not fill a frame yet."""
        self._rest = silence(0, self._channels)

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
