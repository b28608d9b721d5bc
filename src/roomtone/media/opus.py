"""Opus (RFC 6716): encoder and decoder over libopus, with everything a live call changes while it runs.

PCM is int16 at the codec's rate, one array of `samples` (mono) or `samples x 2` (stereo). One object serves
one thread at a time; different objects may run in parallel, for the C code releases the interpreter lock.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from roomtone.media.libopus import LibOpus, load

Pcm = npt.NDArray[np.int16]

SAMPLE_RATES_HZ: Final = (8_000, 12_000, 16_000, 24_000, 48_000)
FRAME_DURATIONS_MS: Final = (2.5, 5.0, 10.0, 20.0, 40.0, 60.0)
MIN_BITRATE_BPS: Final = 6_000
MAX_BITRATE_BPS: Final = 510_000
"""RFC 6716, 2.1.1."""
MAX_DECODED_MS: Final = 120
"""The longest packet (RFC 6716, 3.2.5, R5)."""

# Three 20 ms frames of 1,275 bytes, the most that 60 ms can hold, and their lengths.
_MAX_PACKET_BYTES: Final = 4_000
_QUARTER_FRAMES: Final = frozenset((1, 2, 4, 8, 16, 24))  # FRAME_DURATIONS_MS in steps of 2.5 ms

# opus_defines.h: the numbers of the requests.
_SET_BITRATE: Final = 4002
_SET_COMPLEXITY: Final = 4010
_SET_INBAND_FEC: Final = 4012
_SET_PACKET_LOSS_PERC: Final = 4014
_SET_DTX: Final = 4016
_GET_LOOKAHEAD: Final = 4027
_RESET_STATE: Final = 4028


class OpusError(ValueError):
    """libopus refused a packet or a setting."""


class Application(Enum):
    """What the encoder is tuned for: speech, everything, or 2.5 ms less delay without the speech coder."""

    VOIP = 2048
    AUDIO = 2049
    LOW_DELAY = 2051


def _check_format(sample_rate_hz: int, channels: int) -> None:
    if sample_rate_hz not in SAMPLE_RATES_HZ:
        raise ValueError(f"Opus runs at {', '.join(map(str, SAMPLE_RATES_HZ))} Hz, not at {sample_rate_hz}")
    if channels not in (1, 2):
        raise ValueError(f"Opus has 1 or 2 channels, not {channels}")


def _check(opus: LibOpus, result: int) -> int:
    if result < 0:
        raise OpusError(f"libopus: {opus.ffi.string(opus.lib.opus_strerror(result)).decode()} ({result})")
    return result


class OpusEncoder:
    """PCM to packets.

    sample_rate_hz: one of SAMPLE_RATES_HZ. channels: 1 or 2. bitrate_bps: 6,000..510,000, variable around
    that mean. complexity: 0..10. expected_loss_percent: 0..100, what the in-band FEC is dimensioned for. With
    `dtx`, silence makes packets of 1 or 2 bytes. Raises ValueError for any other setting, at run time too.
    """

    def __init__(
        self,
        sample_rate_hz: int = 48_000,
        channels: int = 1,
        *,
        application: Application = Application.VOIP,
        bitrate_bps: int = 32_000,
        complexity: int = 5,
        inband_fec: bool = False,
        expected_loss_percent: int = 0,
        dtx: bool = False,
    ) -> None:
        _check_format(sample_rate_hz, channels)
        self.sample_rate_hz: Final = sample_rate_hz
        self.channels: Final = channels
        self.application: Final = application
        self._opus = opus = load()
        error = opus.ffi.new("int *")
        state = opus.lib.opus_encoder_create(sample_rate_hz, channels, application.value, error)
        _check(opus, error[0])
        # Freed with its last reference: a call that another thread is still in keeps it alive past close().
        self._state: Any = opus.ffi.gc(state, opus.lib.opus_encoder_destroy, 32_000)
        self._out = opus.ffi.new("unsigned char[]", _MAX_PACKET_BYTES)
        self._pcm_type = opus.ffi.typeof("int16_t[]")
        self.bitrate_bps = bitrate_bps
        self.complexity = complexity
        self.inband_fec = inband_fec
        self.expected_loss_percent = expected_loss_percent
        self.dtx = dtx

    def encode(self, pcm: bytes | Pcm) -> bytes:
        """One frame of 2.5, 5, 10, 20, 40 or 60 ms to one packet.

        pcm: s16 in native order, `samples` or `samples x channels`, or its interleaved bytes. Raises
        ValueError for another length or type of sample.
        """
        state = self._live_state()
        if isinstance(pcm, np.ndarray):
            if pcm.dtype != np.int16:
                raise ValueError(f"PCM is int16, not {pcm.dtype}")
            if pcm.ndim > 1 and pcm.shape[1:] != (self.channels,):
                raise ValueError(f"PCM of {self.channels} channel(s) expected, not the shape {pcm.shape}")
            total = pcm.size
            buffer: Any = np.ascontiguousarray(pcm)
        else:
            total, odd = divmod(len(pcm), 2)
            if odd:
                raise ValueError(f"{len(pcm)} bytes are not whole 16-bit samples")
            buffer = pcm
        samples, odd = divmod(total, self.channels)
        steps, rest = divmod(samples * 400, self.sample_rate_hz)
        if odd or rest or steps not in _QUARTER_FRAMES:
            raise ValueError(
                f"a frame of {total} samples in {self.channels} channel(s) at {self.sample_rate_hz} Hz is "
                f"not one of {', '.join(f'{ms:g}' for ms in FRAME_DURATIONS_MS)} ms"
            )
        opus = self._opus
        size = opus.lib.opus_encode(
            state, opus.ffi.from_buffer(self._pcm_type, buffer), samples, self._out, _MAX_PACKET_BYTES
        )
        if size < 0:
            _check(opus, size)
        return bytes(opus.ffi.buffer(self._out, size))

    @property
    def bitrate_bps(self) -> int:
        """Mean bits a second, 6,000..510,000."""
        return self._bitrate_bps

    @bitrate_bps.setter
    def bitrate_bps(self, value: int) -> None:
        self._set(_SET_BITRATE, "bitrate_bps", value, MIN_BITRATE_BPS, MAX_BITRATE_BPS)
        self._bitrate_bps = value

    @property
    def complexity(self) -> int:
        """0 (least CPU) to 10 (best)."""
        return self._complexity

    @complexity.setter
    def complexity(self, value: int) -> None:
        self._set(_SET_COMPLEXITY, "complexity", value, 0, 10)
        self._complexity = value

    @property
    def inband_fec(self) -> bool:
        """Whether a packet may carry a coarse copy of the one before; needs `expected_loss_percent` too."""
        return self._inband_fec

    @inband_fec.setter
    def inband_fec(self, value: bool) -> None:
        self._set(_SET_INBAND_FEC, "inband_fec", int(value), 0, 1)
        self._inband_fec = bool(value)

    @property
    def expected_loss_percent(self) -> int:
        """0..100."""
        return self._expected_loss_percent

    @expected_loss_percent.setter
    def expected_loss_percent(self, value: int) -> None:
        self._set(_SET_PACKET_LOSS_PERC, "expected_loss_percent", value, 0, 100)
        self._expected_loss_percent = value

    @property
    def dtx(self) -> bool:
        """Whether silence is sent as packets of 1 or 2 bytes."""
        return self._dtx

    @dtx.setter
    def dtx(self, value: bool) -> None:
        self._set(_SET_DTX, "dtx", int(value), 0, 1)
        self._dtx = bool(value)

    @property
    def lookahead_samples(self) -> int:
        """The codec's own delay, in samples at its rate: what an Ogg file calls pre-skip (RFC 7845)."""
        opus = self._opus
        value = opus.ffi.new("int32_t *")
        _check(opus, opus.lib.opus_encoder_ctl(self._live_state(), _GET_LOOKAHEAD, value))
        return int(value[0])

    def reset(self) -> None:
        """Forget the past, keep the settings: for a new stream."""
        _check(self._opus, self._opus.lib.opus_encoder_ctl(self._live_state(), _RESET_STATE))

    def close(self) -> None:
        """Free the state; every later call but this one raises ValueError."""
        self._state = None

    def _live_state(self) -> Any:
        if self._state is None:
            raise ValueError("the encoder is closed")
        return self._state

    def _set(self, request: int, name: str, value: int, lowest: int, highest: int) -> None:
        if not lowest <= value <= highest:
            raise ValueError(f"{name} is {lowest}..{highest}, not {value}")
        opus = self._opus
        _check(opus, opus.lib.opus_encoder_ctl(self._live_state(), request, opus.ffi.cast("int32_t", value)))


class OpusDecoder:
    """Packets to PCM at any of SAMPLE_RATES_HZ, whatever the encoder's rate and channels were."""

    def __init__(self, sample_rate_hz: int = 48_000, channels: int = 1) -> None:
        _check_format(sample_rate_hz, channels)
        self.sample_rate_hz: Final = sample_rate_hz
        self.channels: Final = channels
        self._opus = opus = load()
        error = opus.ffi.new("int *")
        state = opus.lib.opus_decoder_create(sample_rate_hz, channels, error)
        _check(opus, error[0])
        self._state: Any = opus.ffi.gc(state, opus.lib.opus_decoder_destroy, 18_500)
        self._max_samples = sample_rate_hz * MAX_DECODED_MS // 1000
        shape = (self._max_samples,) if channels == 1 else (self._max_samples, channels)
        self._pcm: Pcm = np.zeros(shape, np.int16)
        self._out = opus.ffi.from_buffer("int16_t[]", self._pcm, require_writable=True)

    def decode(self, payload: bytes) -> Pcm:
        """One packet to all its samples, shape (samples,) or (samples, 2). Raises OpusError for garbage."""
        if not payload:
            raise OpusError("an empty payload is no Opus packet")
        return self._decode(payload, self._max_samples, fec=False)

    def conceal(self, samples: int) -> Pcm:
        """Invent `samples` in place of a lost packet. samples: whole steps of 2.5 ms, at most 120 ms.

        The voice fades within about 100 ms of loss; the comfort noise after that goes on as long as asked.
        """
        return self._decode(None, self._check_samples(samples), fec=False)

    def decode_fec(self, next_payload: bytes, samples: int) -> Pcm:
        """The lost packet before `next_payload`, from the copy in it, or concealed where it holds none.

        samples: the length of what was lost, as for `conceal`. Decode `next_payload` itself afterwards.
        """
        if not next_payload:
            raise OpusError("an empty payload is no Opus packet")
        return self._decode(next_payload, self._check_samples(samples), fec=True)

    def reset(self) -> None:
        """Forget the past: for the first packet of another stream."""
        _check(self._opus, self._opus.lib.opus_decoder_ctl(self._live_state(), _RESET_STATE))

    def close(self) -> None:
        """Free the state; every later call but this one raises ValueError."""
        self._state = None

    def _decode(self, payload: bytes | None, samples: int, *, fec: bool) -> Pcm:
        opus = self._opus
        data, size = (opus.ffi.NULL, 0) if payload is None else (payload, len(payload))
        count = opus.lib.opus_decode(self._live_state(), data, size, self._out, samples, fec)
        if count < 0:
            _check(opus, count)
        return self._pcm[:count].copy()

    def _live_state(self) -> Any:
        if self._state is None:
            raise ValueError("the decoder is closed")
        return self._state

    def _check_samples(self, samples: int) -> int:
        if not 0 < samples <= self._max_samples or samples * 400 % self.sample_rate_hz:
            raise ValueError(
                f"{samples} samples at {self.sample_rate_hz} Hz are not whole steps of 2.5 ms up to {MAX_DECODED_MS} ms"
            )
        return samples
