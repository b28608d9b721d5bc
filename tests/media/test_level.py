"""RFC 6464 levels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from roomtone.media.level import rfc6464_level
from tests.media.signals import tone


def square(peak: int) -> np.ndarray:
    """A square wave."""
    return np.array([peak, -peak] * 480, np.int16)


def test_the_scale_begins_at_a_full_square_wave() -> None:
    """0 dBov is a full-scale square wave, a full sine is 3 dB below it (RFC 6464, 3)."""
    assert rfc6464_level(square(32_767)) == 0
    assert rfc6464_level(np.full(960, -32_768, np.int16)) == 0
    assert rfc6464_level(tone(48_000, 20, frequency_hz=1000, peak=1.0)) == 3


@pytest.mark.parametrize(("peak", "level"), [(16_384, 6), (3_277, 20), (328, 40), (33, 60), (1, 90)])
def test_twenty_decibels_a_decade(peak: int, level: int) -> None:
    """A tenth of the amplitude is 20 more."""
    assert rfc6464_level(square(peak)) == level


def test_silence_is_127() -> None:
    """Zeros, a lone 1 in a long frame, and no samples at all."""
    assert rfc6464_level(np.zeros(960, np.int16)) == 127
    assert rfc6464_level(np.zeros(0, np.int16)) == 127
    assert rfc6464_level(np.zeros((0, 2), np.int16)) == 127


@given(pcm=numpy_strategies.arrays(np.int16, st.integers(0, 400)))
def test_any_samples_have_a_level_in_range(pcm: np.ndarray) -> None:
    """0..127 for whatever comes, and the same however it is laid out."""
    level = rfc6464_level(pcm)
    assert 0 <= level <= 127
    assert rfc6464_level(np.stack([pcm, pcm], 1)) == level
    assert rfc6464_level(pcm[::-1]) == level
