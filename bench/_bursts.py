"""A test signal whose moments can be found again after a codec: short chirps, and where they came out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 48_000
SPACING_S = 0.25
"""Also the longest delay that can be told without doubt."""
_CHIRP_S, _FROM_HZ, _TO_HZ = 0.020, 400.0, 3_000.0
_FIRST_S = 0.1


def _chirp() -> NDArray[np.float64]:
    at = np.arange(round(_CHIRP_S * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * (_FROM_HZ * at + (_TO_HZ - _FROM_HZ) * at**2 / (2 * _CHIRP_S))
    return 0.5 * np.sin(phase) * np.hanning(len(at))


def signal(seconds: float) -> NDArray[np.int16]:
    """A chirp of 20 ms every 250 ms, from 400 to 3,000 Hz, that speech codecs keep well; silence between."""
    out = np.zeros(round(seconds * RATE_HZ))
    chirp = _chirp()
    for start in burst_starts(seconds):
        out[start : start + len(chirp)] = chirp
    return (out * 32_767).astype(np.int16)


def burst_starts(seconds: float) -> list[int]:
    """The sample at which each chirp begins."""
    last = round((seconds - _CHIRP_S) * RATE_HZ)
    return list(range(round(_FIRST_S * RATE_HZ), last, round(SPACING_S * RATE_HZ)))


def delays_ms(
    starts_s: list[float], heard: NDArray[np.int16], frame_samples: int, played_s: NDArray[np.float64]
) -> list[float]:
    """How long after `starts_s` (capture instants) each chirp was played.

    heard: whole frames of `frame_samples`, one after another; played_s: when each frame's first sample was played.
    Chirps before or after the recording, and those that a fault of the stream made unrecognisable, are left out.
    """
    chirp = _chirp()
    span = round(SPACING_S * RATE_HZ)
    out = []
    for start_s in starts_s:
        frame = int(np.searchsorted(played_s, start_s, side="right")) - 1
        if frame < 0:
            continue
        first = frame * frame_samples
        window = heard[first : first + span + len(chirp)].astype(np.float64) / 32_768
        if len(window) < span + len(chirp):
            break
        match = np.correlate(window, chirp, mode="valid")
        best = int(np.argmax(match))
        energy = float(np.sum(window[best : best + len(chirp)] ** 2) * np.sum(chirp**2))
        if energy <= 0 or match[best] / np.sqrt(energy) < 0.6:
            continue
        index = first + best
        played = played_s[index // frame_samples] + index % frame_samples / RATE_HZ
        out.append((played - start_s) * 1_000)
    return out
