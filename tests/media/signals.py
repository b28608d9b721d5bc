"""Sounds for the tests of this folder, made from numbers alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]


def tone(rate_hz: int, duration_ms: float, *, frequency_hz: float = 440.0, peak: float = 0.25) -> Pcm:
    """A sine. peak: 0..1 of full scale."""
    at = np.arange(round(rate_hz * duration_ms / 1000)) / rate_hz
    return np.rint(32767 * peak * np.sin(2 * np.pi * frequency_hz * at)).astype(np.int16)


def voice(rate_hz: int, duration_ms: float, *, pitch_hz: float = 140.0, peak: float = 0.4) -> Pcm:
    """Something a speech coder takes for a voice: twenty falling harmonics, swelling four times a second."""
    at = np.arange(round(rate_hz * duration_ms / 1000)) / rate_hz
    glide = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.05 * np.sin(2 * np.pi * 3 * at))) / rate_hz
    wave = np.sum([np.sin(k * glide) / k for k in range(1, 21) if k * pitch_hz < rate_hz / 2], axis=0)
    wave *= 0.55 - 0.45 * np.cos(2 * np.pi * 4 * at)
    return np.rint(32767 * peak * wave / np.max(np.abs(wave))).astype(np.int16)


def noise(samples: int, *, peak: float = 0.1, seed: int = 1) -> Pcm:
    """White noise, the same every time."""
    values = np.random.default_rng(seed).uniform(-peak, peak, samples)
    return np.rint(32767 * values).astype(np.int16)


def rms(pcm: npt.NDArray[np.int16]) -> float:
    """Root mean square, 0..32768."""
    return float(np.sqrt(np.mean(np.square(pcm.astype(np.float64)))))


def snr_db(reference: Pcm, heard: Pcm) -> float:
    """How far `heard` is from `reference`, both of one length."""
    error = reference.astype(np.float64) - heard
    return float(10 * np.log10(np.sum(np.square(reference.astype(np.float64))) / max(np.sum(error**2), 1e-9)))
