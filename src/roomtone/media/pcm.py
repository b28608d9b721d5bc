"""PCM: signed 16-bit samples as arrays, and as the little-endian bytes of the wire and of WAV files.

An array has the shape (samples,) for one channel and (samples, channels) for more; its bytes are interleaved.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from roomtone.media.packet import CLOCK_RATE_HZ

Pcm = npt.NDArray[np.int16]

SAMPLE_BYTES: Final = 2
FULL_SCALE: Final = 32_767
_S16LE: Final = np.dtype("<i2")


def from_bytes(data: bytes, channels: int = 1) -> Pcm:
    """An array of its own over s16le bytes. Raises ValueError for a part of a sample."""
    if len(data) % (SAMPLE_BYTES * channels):
        raise ValueError(f"{len(data)} bytes are not whole 16-bit samples of {channels} channel(s)")
    pcm = np.frombuffer(data, _S16LE).astype(np.int16)
    return pcm if channels == 1 else pcm.reshape(-1, channels)


def to_bytes(pcm: Pcm) -> bytes:
    """The interleaved s16le bytes of an array. Raises ValueError for samples that are not int16."""
    return check(pcm).astype(_S16LE, copy=False).tobytes()


def check(pcm: Pcm) -> Pcm:
    """The same array, or ValueError when its samples are not int16: floats are never cut down in silence."""
    if pcm.dtype != np.int16:
        raise ValueError(f"PCM is int16, not {pcm.dtype}")
    return pcm


def silence(samples: int, channels: int = 1) -> Pcm:
    """Zeros in the shape of `samples` of that many channels."""
    return np.zeros(samples if channels == 1 else (samples, channels), np.int16)


def channels_of(pcm: Pcm) -> int:
    """How many channels an array's shape says. Raises ValueError for more than two dimensions."""
    if pcm.ndim == 1:
        return 1
    if pcm.ndim != 2:
        raise ValueError(f"PCM has the shape (samples,) or (samples, channels), not {pcm.shape}")
    return int(pcm.shape[1])


def with_channels(pcm: Pcm, channels: int) -> Pcm:
    """The sound in 1 or 2 channels: the mean of both, or the same in both."""
    if channels not in (1, 2):
        raise ValueError(f"sound has 1 or 2 channels here, not {channels}")
    if channels_of(pcm) == channels:
        return pcm.reshape(-1) if channels == 1 else pcm
    if channels == 2:
        return np.repeat(pcm.reshape(-1, 1), 2, axis=1)
    return np.asarray(pcm.sum(axis=1, dtype=np.int32) // pcm.shape[1], np.int16)


def samples_in(duration_ms: float, rate_hz: int) -> int:
    """How many samples a duration has. Raises ValueError when they are not whole."""
    samples = duration_ms * rate_hz / 1000
    if samples < 0 or samples != int(samples):
        raise ValueError(f"{duration_ms:g} ms at {rate_hz} Hz are not whole samples")
    return int(samples)


def samples_to_ticks(samples: int, rate_hz: int) -> int:
    """48 kHz ticks of `samples`, rounded down where the rate does not divide 48 kHz."""
    return samples * CLOCK_RATE_HZ // rate_hz


def ticks_to_samples(ticks: int, rate_hz: int) -> int:
    """Samples in that many 48 kHz ticks, rounded down."""
    return ticks * rate_hz // CLOCK_RATE_HZ
