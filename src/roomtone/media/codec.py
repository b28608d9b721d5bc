"""One face for every codec of the wire: Opus, PCM and G.711, at whatever rate the caller works in.

A codec runs at its own rate; where the caller's differs, a live resampler stands between, 1 ms late. Opus
decodes and encodes at 8, 12, 16, 24 and 48 kHz by itself.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from roomtone.media import g711, opus_packet, pcm
from roomtone.media.opus import SAMPLE_RATES_HZ, Application, OpusDecoder, OpusEncoder
from roomtone.media.packet import CLOCK_RATE_HZ, Codec
from roomtone.media.pcm import Pcm
from roomtone.media.plc import Concealer
from roomtone.media.resample import Resampler

CODEC_RATES_HZ: Final[dict[Codec, int]] = {
    Codec.OPUS: 48_000,
    Codec.PCM_16K: 16_000,
    Codec.PCM_24K: 24_000,
    Codec.PCM_48K: 48_000,
    Codec.PCMU: g711.SAMPLE_RATE_HZ,
    Codec.PCMA: g711.SAMPLE_RATE_HZ,
}
"""The rate of the codec's own samples; Opus has several and this is its clock's."""


class FrameDecoder(Protocol):
    """Payloads of one track to PCM at one rate. One thread at a time."""

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def channels(self) -> int: ...

    def decode(self, payload: bytes) -> Pcm:
        """int16, (samples,) or (samples, channels). Raises ValueError for a payload that is none."""
        ...

    def conceal(self, samples: int) -> Pcm:
        """`samples` at the output's rate in place of what was lost; whole steps of 2.5 ms, at most 120 ms."""
        ...

    def decode_fec(self, next_payload: bytes, samples: int) -> Pcm:
        """What was lost before `next_payload`, from the copy in it if there is one, else concealed."""
        ...

    def reset(self) -> None:
        """Forget the past: for another stream."""
        ...

    def close(self) -> None: ...


class FrameEncoder(Protocol):
    """PCM at one rate to payloads of one track. One thread at a time."""

    @property
    def sample_rate_hz(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def bitrate_bps(self) -> int:
        """Bits a second. Setting it changes nothing in a codec of one bitrate."""
        ...

    @bitrate_bps.setter
    def bitrate_bps(self, value: int) -> None: ...

    def encode(self, frame: Pcm) -> bytes:
        """One frame to one payload. Raises ValueError for a length, shape or type that the codec has not."""
        ...

    def reset(self) -> None: ...

    def close(self) -> None: ...


def duration_ticks(codec: Codec, payload: bytes, channels: int = 1) -> int:
    """A payload's length in 48 kHz ticks. Raises ValueError for one that is malformed or empty."""
    if codec is Codec.OPUS:
        return opus_packet.duration_ticks(payload)
    sample_bytes = channels * _sample_bytes(codec)
    samples, rest = divmod(len(payload), sample_bytes)
    if rest or not samples:
        raise ValueError(f"{len(payload)} bytes are not whole samples of {codec.name}, {channels} channel(s)")
    return samples * (CLOCK_RATE_HZ // CODEC_RATES_HZ[codec])


def make_decoder(codec: Codec, channels: int = 1, sample_rate_hz: int = 48_000) -> FrameDecoder:
    """A decoder whose output has that many channels (1 or 2; in PCM and G.711 the payload's too) and that
    rate.

    Raises ValueError for a rate outside 1..384 kHz and for another number of channels.
    """
    native: FrameDecoder
    if codec is Codec.OPUS:
        if sample_rate_hz in SAMPLE_RATES_HZ:
            return OpusDecoder(sample_rate_hz, channels)
        native = OpusDecoder(CODEC_RATES_HZ[codec], channels)
    else:
        native = _WaveDecoder(codec, channels)
        if native.sample_rate_hz == sample_rate_hz:
            return native
    return _ResampledDecoder(native, sample_rate_hz)


def make_encoder(
    codec: Codec,
    channels: int = 1,
    sample_rate_hz: int = 48_000,
    *,
    bitrate_bps: int = 32_000,
    complexity: int = 5,
    application: Application = Application.VOIP,
    inband_fec: bool = False,
    expected_loss_percent: int = 0,
    dtx: bool = False,
) -> FrameEncoder:
    """An encoder for PCM of that rate and channel count. All settings after these are for Opus alone.

    Raises ValueError as `make_decoder` and `OpusEncoder` do.
    """
    native: FrameEncoder
    if codec is Codec.OPUS:
        own_rate = sample_rate_hz in SAMPLE_RATES_HZ
        native = OpusEncoder(
            sample_rate_hz if own_rate else CODEC_RATES_HZ[codec],
            channels,
            application=application,
            bitrate_bps=bitrate_bps,
            complexity=complexity,
            inband_fec=inband_fec,
            expected_loss_percent=expected_loss_percent,
            dtx=dtx,
        )
    else:
        native = _WaveEncoder(codec, channels)
    if native.sample_rate_hz == sample_rate_hz:
        return native
    return _ResampledEncoder(native, sample_rate_hz)


def _sample_bytes(codec: Codec) -> int:
    return 1 if codec in (Codec.PCMU, Codec.PCMA) else pcm.SAMPLE_BYTES


def _check_channels(channels: int) -> int:
    if channels not in (1, 2):
        raise ValueError(f"sound has 1 or 2 channels here, not {channels}")
    return channels


class _WaveDecoder:
    """PCM and G.711 at their own rates."""

    def __init__(self, codec: Codec, channels: int) -> None:
        self.sample_rate_hz: Final = CODEC_RATES_HZ[codec]
        self.channels: Final = _check_channels(channels)
        self._codec = codec
        self._concealer = Concealer(self.sample_rate_hz, channels)

    def decode(self, payload: bytes) -> Pcm:
        duration_ticks(self._codec, payload, self.channels)
        if self._codec is Codec.PCMU:
            frame = g711.decode_ulaw(payload)
        elif self._codec is Codec.PCMA:
            frame = g711.decode_alaw(payload)
        else:
            frame = pcm.from_bytes(payload)
        return self._concealer.heard(frame if self.channels == 1 else frame.reshape(-1, self.channels))

    def conceal(self, samples: int) -> Pcm:
        return self._concealer.conceal(samples)

    def decode_fec(self, next_payload: bytes, samples: int) -> Pcm:
        return self._concealer.conceal(samples)

    def reset(self) -> None:
        self._concealer.reset()

    def close(self) -> None:
        self._concealer.reset()


class _WaveEncoder:
    """PCM and G.711 at their own rates; frames of any length."""

    def __init__(self, codec: Codec, channels: int) -> None:
        self.sample_rate_hz: Final = CODEC_RATES_HZ[codec]
        self.channels: Final = _check_channels(channels)
        self._codec = codec

    @property
    def bitrate_bps(self) -> int:
        return self.sample_rate_hz * self.channels * 8 * _sample_bytes(self._codec)

    @bitrate_bps.setter
    def bitrate_bps(self, value: int) -> None:
        """Waveforms have one bitrate: a wish for another is heard and not followed."""

    def encode(self, frame: Pcm) -> bytes:
        if pcm.channels_of(frame) != self.channels or not len(frame):
            raise ValueError(f"a frame of {self.channels} channel(s) expected, not the shape {frame.shape}")
        if self._codec is Codec.PCMU:
            return g711.encode_ulaw(frame)
        if self._codec is Codec.PCMA:
            return g711.encode_alaw(frame)
        return pcm.to_bytes(frame)

    def reset(self) -> None:
        """There is no past."""

    def close(self) -> None:
        """There is nothing to free."""


class _ResampledDecoder:
    """A decoder seen at another rate."""

    def __init__(self, native: FrameDecoder, sample_rate_hz: int) -> None:
        self.sample_rate_hz: Final = sample_rate_hz
        self.channels: Final = native.channels
        self._native = native
        self._resampler = Resampler(native.sample_rate_hz, sample_rate_hz, native.channels, native.channels)

    def decode(self, payload: bytes) -> Pcm:
        return self._resampler.process(self._native.decode(payload))

    def conceal(self, samples: int) -> Pcm:
        return self._resampler.process(self._native.conceal(self._native_samples(samples)))

    def decode_fec(self, next_payload: bytes, samples: int) -> Pcm:
        lost = self._native.decode_fec(next_payload, self._native_samples(samples))
        return self._resampler.process(lost)

    def reset(self) -> None:
        self._native.reset()
        self._resampler.reset()

    def close(self) -> None:
        self._native.close()
        self._resampler.reset()

    def _native_samples(self, samples: int) -> int:
        scaled, rest = divmod(samples * self._native.sample_rate_hz, self.sample_rate_hz)
        if rest:
            raise ValueError(
                f"{samples} samples at {self.sample_rate_hz} Hz are not whole ones at {self._native.sample_rate_hz} Hz"
            )
        return scaled


class _ResampledEncoder:
    """An encoder fed at another rate. A frame's length must be whole in the codec's own rate."""

    def __init__(self, native: FrameEncoder, sample_rate_hz: int) -> None:
        self.sample_rate_hz: Final = sample_rate_hz
        self.channels: Final = native.channels
        self._native = native
        self._resampler = Resampler(sample_rate_hz, native.sample_rate_hz, native.channels, native.channels)

    @property
    def bitrate_bps(self) -> int:
        return self._native.bitrate_bps

    @bitrate_bps.setter
    def bitrate_bps(self, value: int) -> None:
        self._native.bitrate_bps = value

    def encode(self, frame: Pcm) -> bytes:
        samples = len(frame)
        if not samples or samples * self._native.sample_rate_hz % self.sample_rate_hz:
            raise ValueError(
                f"{samples} samples at {self.sample_rate_hz} Hz are not whole ones at {self._native.sample_rate_hz} Hz"
            )
        return self._native.encode(np.ascontiguousarray(self._resampler.process(frame)))

    def reset(self) -> None:
        self._native.reset()
        self._resampler.reset()

    def close(self) -> None:
        self._native.close()
        self._resampler.reset()
