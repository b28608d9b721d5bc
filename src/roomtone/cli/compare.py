"""How much of a recording is its source: where it lies in it, and how cleanly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float32]

SEGMENT_S: Final = 0.2
DRIFT_S: Final = 0.04
"""How far a segment may lie from where the whole is: a jitter buffer stretches time."""
AUDIBLE: Final = 0.01
"""Segments under -40 dBov are pauses, which say nothing about noise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """offset_s: where the source's first sample lies in the recording (negative: it began before).

    correlation (0..1) and snr_db: medians over the audible fifths of a second, each aligned and scaled for
    itself, for a jitter buffer stretches time and a codec keeps neither level nor phase exactly. segments: how
    many these are.
    """

    offset_s: float
    correlation: float
    snr_db: float
    segments: int


def compare(recording: npt.NDArray[np.int16], source: npt.NDArray[np.int16], rate_hz: int) -> Comparison | None:
    """Find mono `source`, repeated for ever, in mono `recording`. None where either is silent or too short."""
    heard = _signal(recording)
    begin = int(np.argmax(np.abs(heard) > AUDIBLE)) if heard.size else 0
    played = _signal(source)
    segment = int(SEGMENT_S * rate_hz)
    if played.size < segment or heard.size - begin < segment or not np.any(np.abs(heard) > AUDIBLE):
        return None
    window = heard[begin : begin + played.size]
    lag = _circular_lag(played, window)
    offset = begin - lag
    shares = []
    reach = int(DRIFT_S * rate_hz)
    for start in range(0, window.size - segment + 1, segment):
        part = window[start : start + segment]
        if np.sqrt(np.mean(part**2)) < AUDIBLE:
            continue
        around = played[(lag + start - reach + np.arange(segment + 2 * reach)) % played.size]
        shares.append(_explained(part, around))
    if not shares:
        return None
    share = min(float(np.median(shares)), 1 - 1e-9)
    return Comparison(
        offset_s=offset / rate_hz,
        correlation=float(np.sqrt(share)),
        snr_db=float(10 * np.log10(max(share, 1e-9) / (1 - share))),
        segments=len(shares),
    )


def _signal(pcm: npt.NDArray[np.int16]) -> Signal:
    return np.asarray(pcm.reshape(-1) / 32_768, np.float32)


def _circular_lag(played: Signal, window: Signal) -> int:
    """n so that window[i] is most like played[(n + i) % len]; by the Fourier transform."""
    spectrum = np.fft.rfft(played) * np.conj(np.fft.rfft(window, played.size))
    return int(np.argmax(np.fft.irfft(spectrum, played.size)))


def _explained(part: Signal, around: Signal) -> float:
    """The share of the energy of `part` that its best match inside `around` explains, at the best gain: 0..1."""
    places = around.size - part.size + 1
    size = 1 << (around.size - 1).bit_length()
    spectrum = np.fft.rfft(around, size) * np.conj(np.fft.rfft(part, size))
    products = np.fft.irfft(spectrum, size)[:places]
    sums = np.concatenate(([0.0], np.cumsum(np.asarray(around, np.float64) ** 2)))
    energies = sums[part.size :] - sums[: -part.size]
    explained = products**2 / np.maximum(energies, 1e-9)
    return float(explained.max()) / float(np.sum(part**2))
