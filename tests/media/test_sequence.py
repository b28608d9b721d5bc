"""Serial numbers that wrap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.media.sequence import (
    SEQUENCE_MODULUS,
    TIMESTAMP_MODULUS,
    Unwrapper,
    sequence_difference,
    timestamp_difference,
)


@pytest.mark.parametrize(
    ("a", "b", "difference"),
    [
        (5, 3, 2),
        (3, 5, -2),
        (0, 65_535, 1),
        (65_535, 0, -1),
        (7, 7, 0),
        (32_768, 0, -32_768),
        (32_767, 0, 32_767),
    ],
)
def test_sequence_differences(a: int, b: int, difference: int) -> None:
    """The short way around the circle; exactly opposite counts as older."""
    assert sequence_difference(a, b) == difference


@given(a=st.integers(0, SEQUENCE_MODULUS - 1), step=st.integers(-32_768, 32_767))
def test_a_sequence_step_is_found_again(a: int, step: int) -> None:
    """Any step up to half the circle."""
    assert sequence_difference((a + step) % SEQUENCE_MODULUS, a) == step


@given(a=st.integers(0, TIMESTAMP_MODULUS - 1), step=st.integers(-(1 << 31), (1 << 31) - 1))
def test_a_timestamp_step_is_found_again(a: int, step: int) -> None:
    """Any step up to half the circle, which is 12 hours."""
    assert timestamp_difference((a + step) % TIMESTAMP_MODULUS, a) == step


@given(
    modulus=st.sampled_from((SEQUENCE_MODULUS, TIMESTAMP_MODULUS)),
    start=st.integers(0, SEQUENCE_MODULUS - 1),
    steps=st.lists(st.integers(-10_000, 20_000), max_size=60),
)
def test_unwrapping_follows_a_counter_through_every_wrap(modulus: int, start: int, steps: list[int]) -> None:
    """Values within half a circle of the newest come back as the integers they were before wrapping."""
    unwrapper = Unwrapper(modulus)
    assert unwrapper.unwrap(start) == start
    newest = start
    for step in steps:
        value = newest + step
        assert unwrapper.unwrap(value % modulus) == value
        newest = max(newest, value)


def test_old_values_do_not_move_the_newest() -> None:
    """A run of late values is placed against the newest, not against one another."""
    unwrapper = Unwrapper(SEQUENCE_MODULUS)
    assert unwrapper.unwrap(10) == 10
    assert [unwrapper.unwrap(value) for value in (50_000, 50_001)] == [-15_536, -15_535]
    assert unwrapper.unwrap(11) == 11


def test_reset_starts_over() -> None:
    """After a reset the next value is taken as it is."""
    unwrapper = Unwrapper(SEQUENCE_MODULUS)
    unwrapper.unwrap(65_535)
    assert unwrapper.unwrap(0) == 65_536
    unwrapper.reset()
    assert unwrapper.unwrap(0) == 0
