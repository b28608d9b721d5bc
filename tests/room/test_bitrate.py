"""The ladder of bitrates, judged on its own."""

from __future__ import annotations

import pytest

from roomtone.room.bitrate import MUSIC_STEPS_BPS, VOICE_STEPS_BPS, BitrateLadder


def asked(ladder: BitrateLadder, weak: int, listeners: int, start: float, seconds: int) -> list[tuple[float, int]]:
    """(when, what) it asks for, judged ten times a second."""
    found = []
    for tick in range(seconds * 10):
        bitrate_bps = ladder.judge(weak, listeners, start + tick / 10)
        if bitrate_bps is not None:
            found.append((tick / 10, bitrate_bps))
    return found


@pytest.mark.parametrize("steps_bps", [VOICE_STEPS_BPS, MUSIC_STEPS_BPS])
def test_down_every_two_seconds_and_up_every_five(steps_bps: tuple[int, ...]) -> None:
    """To the lowest step and back to the first, never beyond."""
    ladder = BitrateLadder(steps_bps)
    assert asked(ladder, 3, 3, 0, 60) == list(zip((0, 2, 4), steps_bps[1:], strict=True))
    assert asked(ladder, 0, 3, 100, 60) == list(zip((5, 10, 15), reversed(steps_bps[:-1]), strict=True))


def test_one_weak_listener_of_many_lowers_nothing() -> None:
    """It gets fewer speakers, the others keep their quality."""
    assert asked(BitrateLadder(), 9, 10, 0, 60) == []


def test_a_track_without_listeners_stays_as_it_is() -> None:
    """Nobody is neither weak nor well."""
    ladder = BitrateLadder()
    assert asked(ladder, 0, 0, 0, 10) == []
    ladder.judge(1, 1, 10)
    assert asked(ladder, 0, 0, 11, 60) == []
    assert ladder.step == 1


def test_a_relapse_starts_the_five_seconds_again() -> None:
    """Health has to last."""
    ladder = BitrateLadder()
    ladder.judge(2, 2, 0)
    assert asked(ladder, 0, 2, 1, 4) == []
    ladder.judge(1, 2, 5)
    assert asked(ladder, 0, 2, 5.1, 5) == []
    assert ladder.judge(0, 2, 10.2) == 32_000


def test_one_listener_that_never_recovers_does_not_hold_back_a_crowd() -> None:
    """Less than a quarter still weak counts as well."""
    ladder = BitrateLadder()
    ladder.judge(100, 100, 0)
    assert asked(ladder, 25, 100, 1, 60) == []
    assert asked(ladder, 24, 100, 100, 60) == [(5, 32_000)]
