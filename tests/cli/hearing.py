"""Is what was heard what was said? Written apart from the command line's own comparison, to judge it too."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

RATE_HZ = 16_000
PIECE = RATE_HZ // 4
REACH = RATE_HZ // 20


def decoded(path: Path) -> Samples:
    """Any audio file at 16 kHz mono, -1..1."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    parts: list[Any] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            parts += [one.to_ndarray().reshape(-1) for one in resampler.resample(frame)]
        parts += [one.to_ndarray().reshape(-1) for one in resampler.resample(None)]
    return np.concatenate(parts).astype(np.float64) / 32_768


def seconds_of_wav(path: Path) -> float:
    """By its header."""
    with wave.open(str(path), "rb") as file:
        return file.getnframes() / file.getframerate()


def located(heard: Samples, said: Samples) -> list[tuple[float, float]]:
    """For each audible quarter of a second of `heard`: (where it lies in `said`, s; signal to noise, dB).

    The first piece is looked for everywhere, the others within 50 ms of where they should then be; `said` goes
    round and round.
    """
    said = np.concatenate([said, said[: PIECE + 2 * REACH]])
    length = said.size - PIECE - 2 * REACH
    expected: int | None = None
    found = []
    for start in range(0, heard.size - PIECE, PIECE):
        piece = heard[start : start + PIECE]
        if np.sqrt(np.mean(piece**2)) < 0.02:
            continue
        if expected is None:
            place, share = _best(piece, said)
        else:
            begin = (expected + start - REACH) % length
            offset, share = _best(piece, said[begin : begin + PIECE + 2 * REACH])
            place = begin + offset
        expected = (place - start) % length
        found.append((place / RATE_HZ, 10 * float(np.log10(share / max(1 - share, 1e-9)))))
    return found


def _best(piece: Samples, within: Samples) -> tuple[int, float]:
    """(where, share of its energy that is found there)."""
    products = np.correlate(within, piece, "valid")
    energy = np.convolve(within**2, np.ones(piece.size), "valid")
    shares = products * np.abs(products) / np.maximum(energy, 1e-9) / np.sum(piece**2)
    place = int(np.argmax(shares))
    return place, min(max(float(shares[place]), 1e-9), 1 - 1e-9)
