"""Mixing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from roomtone.media.mixer import KNEE, mix, mix_minus
from tests.media.signals import tone

frames = st.integers(1, 40).flatmap(
    lambda size: st.lists(numpy_strategies.arrays(np.int16, size), min_size=1, max_size=6)
)


def test_quiet_voices_are_added_exactly() -> None:
    """Below the knee a mix is a sum."""
    a, b = tone(48_000, 20, peak=0.2), tone(48_000, 20, frequency_hz=700, peak=0.25)
    assert np.array_equal(mix([a, b]), a + b)


def test_one_voice_is_not_touched() -> None:
    """However loud it is; and the result is a copy."""
    loud = np.array([32_767, -32_768, 0], np.int16)
    mixed = mix([loud])
    assert np.array_equal(mixed, loud)
    mixed[0] = 0
    assert loud[0] == 32_767


def test_loud_sums_bend_without_wrapping_or_sticking() -> None:
    """Above the knee the curve still rises, is odd, and joins the straight part without a step."""
    ramp = np.arange(0, 32_000, 250).astype(np.int16)
    mixed = mix([ramp, ramp]).astype(int)
    steps = np.diff(mixed)
    assert steps.min() >= 0
    assert steps.max() <= 501
    assert mixed[-1] <= 32_767
    assert mixed[-1] > 31_000
    assert np.array_equal(mix([-ramp, -ramp]), -mixed)
    exact = 2 * ramp.astype(int) <= KNEE
    assert np.array_equal(mixed[exact], 2 * ramp[exact].astype(int))


@given(voices=frames)
def test_mixes_are_bounded_and_keep_their_sign(voices: list[np.ndarray]) -> None:
    """Nothing wraps around: the mix has the sign of the sum and is never louder than it."""
    total = np.sum(np.stack(voices), axis=0, dtype=np.int64)
    mixed = mix(voices).astype(int)
    assert np.all(np.abs(mixed) <= np.abs(total))
    assert np.all(mixed * total >= 0)
    assert np.all((mixed == 0) == (total == 0))


@given(voices=frames)
def test_mix_minus_is_the_mix_of_the_others(voices: list[np.ndarray]) -> None:
    """Each speaker hears all but themselves; alone, silence."""
    heard = mix_minus(voices)
    assert len(heard) == len(voices)
    for i, mine in enumerate(heard):
        others = voices[:i] + voices[i + 1 :]
        if not others:
            assert not mine.any()
        else:
            assert np.array_equal(mine, mix(others))


def test_stereo_frames_mix() -> None:
    """Shapes of two dimensions are kept."""
    frame = np.full((4, 2), 100, np.int16)
    assert mix([frame, frame, frame]).tolist() == [[300, 300]] * 4


def test_nothing_and_unequal_frames_are_refused() -> None:
    """There is no silent guess at a length."""
    for function in (mix, mix_minus):
        with pytest.raises(ValueError, match="nothing"):
            function([])
        with pytest.raises(ValueError, match="one shape"):
            function([np.zeros(4, np.int16), np.zeros(5, np.int16)])
