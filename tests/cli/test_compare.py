"""The comparison that the demo prints."""

from __future__ import annotations

import numpy as np
import pytest

from roomtone.cli.compare import compare

RATE_HZ = 8_000


def noise(seconds: float, seed: int) -> np.ndarray:
    """Different at every moment."""
    return (np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ)) * 5_000).astype(np.int16)


@pytest.mark.parametrize("delay_s", [0.0, 0.125, 1.0])
def test_a_delay_is_found(delay_s: float) -> None:
    """Silence before it, and another loudness, change nothing else."""
    source = noise(3, 1)
    heard = np.concatenate([np.zeros(int(delay_s * RATE_HZ), np.int16), source // 2])
    found = compare(heard, source, RATE_HZ)
    assert found is not None
    assert found.offset_s == pytest.approx(delay_s, abs=1e-3)
    assert found.correlation > 0.999
    assert found.snr_db > 50


def test_a_late_start_is_a_negative_offset() -> None:
    """The recording begins within the source, and goes on into its next round."""
    source = noise(3, 2)
    found = compare(np.concatenate([source, source])[RATE_HZ // 2 : RATE_HZ * 7 // 2], source, RATE_HZ)
    assert found is not None
    assert found.offset_s == pytest.approx(-0.5, abs=1e-3)
    assert found.snr_db > 50


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
def test_noise_is_measured(snr_db: float) -> None:
    """What was added comes out, within a decibel."""
    source = noise(3, 3)
    added = noise(3, 4) * 10 ** (-snr_db / 20)
    found = compare((source * 0.5 + added * 0.5).astype(np.int16), source, RATE_HZ)
    assert found is not None
    assert found.snr_db == pytest.approx(snr_db, abs=1)


def test_stretched_time_is_followed() -> None:
    """20 ms left out in the middle is no noise."""
    source = noise(3, 5)
    heard = np.concatenate([source[:RATE_HZ], source[RATE_HZ + RATE_HZ // 50 :]])
    found = compare(heard, source, RATE_HZ)
    assert found is not None
    assert found.snr_db > 50


def test_something_else_is_not_found() -> None:
    """Another noise is almost all noise, silence nothing at all."""
    found = compare(noise(3, 6), noise(3, 7), RATE_HZ)
    assert found is not None
    assert found.snr_db < -5
    assert compare(np.zeros(RATE_HZ, np.int16), noise(3, 8), RATE_HZ) is None
    assert compare(noise(3, 8), np.zeros(0, np.int16), RATE_HZ) is None
