"""The pacer, on a clock that the tests turn."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.media.pacer import Pacer

FRAME = 960
"""20 ms in ticks."""
START = 1234.5


def fill(pacer: Pacer[int], count: int, first: int = 0) -> None:
    """`count` numbered frames of 20 ms."""
    for item in range(first, first + count):
        assert pacer.push(item, FRAME)


def test_audio_comes_out_at_speaking_speed() -> None:
    """With 60 ms of lead, four frames at once (one due now, three ahead), then one every 20 ms."""
    pacer: Pacer[int] = Pacer(lead_ms=60)
    fill(pacer, 10)
    assert pacer.next_deadline() == 0.0
    assert pacer.pop_due(START) == [0, 1, 2, 3]
    assert pacer.next_deadline() == pytest.approx(START + 0.020)
    assert pacer.pop_due(START + 0.0199) == []
    assert pacer.pop_due(START + 0.020) == [4]
    assert pacer.pop_due(START + 0.060) == [5, 6]
    assert pacer.pending_ms == 60
    assert pacer.pop_due(START + 9) == [7, 8, 9]
    assert pacer.next_deadline() is None


def test_without_lead_one_frame_at_a_time() -> None:
    """lead_ms = 0 releases each frame when it begins."""
    pacer: Pacer[int] = Pacer(lead_ms=0)
    fill(pacer, 3)
    assert pacer.pop_due(START) == [0]
    assert pacer.next_deadline() == START + 0.020
    assert pacer.pop_due(START + 0.020) == [1]


def test_an_hour_of_late_wake_ups_does_not_drift() -> None:
    """Every timer comes 0 to 47 ms late, for an hour: the last frame is as punctual as the first."""
    pacer: Pacer[int] = Pacer(lead_ms=0, max_ms=2_000)
    frames = 3600 * 50
    pushed = released = 0
    now = START
    lateness = [0.0131, 0.0, 0.0477, 0.0003, 0.0209, 0.0333]
    wake_ups = 0
    while released < frames:
        while pushed < frames and pacer.push(pushed, FRAME):
            pushed += 1
        due = pacer.pop_due(now)
        assert due == list(range(released, released + len(due)))
        released += len(due)
        # Never ahead of the clock, and behind it by no more than the frame whose time has not come.
        elapsed = (now - START) * 50
        assert released <= math.floor(elapsed + 1e-6) + 1
        assert released >= min(frames, math.floor(elapsed - 1e-6) + 1)
        deadline = pacer.next_deadline()
        if deadline is not None:
            now = max(now, deadline) + lateness[wake_ups % len(lateness)]
            wake_ups += 1
    assert now - START == pytest.approx(3600, abs=0.1)
    assert pacer.stats.underruns == pacer.stats.stalls == 0
    assert pacer.stats.talkspurts == 1
    assert pacer.stats.released_ticks == frames * FRAME


def test_a_source_just_in_time_does_not_drift_either() -> None:
    """A live source whose frames come up to 40 ms late now and then is caught up with, not restarted."""
    pacer: Pacer[int] = Pacer(lead_ms=0)
    for item in range(5_000):
        pacer.push(item, FRAME)
        late = 0.0 if item == 0 else 0.04 if item % 7 == 3 else 1e-6
        assert pacer.pop_due(START + item * 0.020 + late) == [item]
        assert pacer.gap_ticks == 0
    fill(pacer, 1, 5_000)
    assert pacer.next_deadline() == pytest.approx(START + 100.0, abs=1e-5)
    assert pacer.stats.talkspurts == 1


def test_a_dry_source_starts_a_talkspurt_when_it_comes_back() -> None:
    """The pause was heard, so the lead is built up anew, and the gap is told for the timestamps."""
    pacer: Pacer[int] = Pacer(lead_ms=40)
    fill(pacer, 5)
    assert pacer.pop_due(START) == [0, 1, 2]
    assert pacer.pop_due(START + 0.060) == [3, 4]
    fill(pacer, 5, 5)
    assert pacer.pop_due(START + 1.1) == [5, 6, 7]
    assert pacer.gap_ticks == 48_000
    assert pacer.stats.underruns == 1
    assert pacer.stats.talkspurts == 2
    assert pacer.pop_due(START + 1.12) == [8]
    assert pacer.gap_ticks == 0


def test_the_end_of_the_source_is_no_underrun() -> None:
    """After `end` a pause is a pause; what waited is still released."""
    pacer: Pacer[int] = Pacer(lead_ms=40)
    fill(pacer, 5)
    assert pacer.pop_due(START) == [0, 1, 2]
    pacer.end()
    assert pacer.pop_due(START + 0.1) == [3, 4]
    fill(pacer, 1, 5)
    assert pacer.next_deadline() == 0.0
    assert pacer.pop_due(START + 0.5) == [5]
    assert pacer.gap_ticks == 19_200
    pacer.end()
    fill(pacer, 1, 6)
    # The one before is not yet spoken: no pause, no second lead.
    assert pacer.pop_due(START + 0.505) == [6]
    assert pacer.gap_ticks == 0
    assert pacer.stats.talkspurts == 2
    assert pacer.stats.underruns == 0


def test_more_after_the_end_goes_on_without_a_gap() -> None:
    """A sentence pushed while the last one still waits follows it directly."""
    pacer: Pacer[int] = Pacer(lead_ms=0)
    fill(pacer, 2)
    pacer.end()
    fill(pacer, 2, 2)
    released = [pacer.pop_due(START + tick * 0.020) for tick in range(4)]
    assert released == [[0], [1], [2], [3]]
    assert pacer.stats.talkspurts == 1


def test_flush_returns_what_was_not_yet_released() -> None:
    """An interruption takes the rest back, and the answer after it starts at once with a full lead."""
    pacer: Pacer[int] = Pacer(lead_ms=60)
    fill(pacer, 10)
    assert pacer.pop_due(START) == [0, 1, 2, 3]
    assert pacer.flush() == [4, 5, 6, 7, 8, 9]
    assert pacer.flush() == []
    assert pacer.pending_ms == 0
    assert pacer.next_deadline() is None
    assert pacer.pop_due(START + 0.01) == []
    fill(pacer, 6, 20)
    assert pacer.next_deadline() == 0.0
    assert pacer.pop_due(START + 0.02) == [20, 21, 22, 23]
    # The lead thrown away at the listeners' is no pause: their clock goes on from what was sent.
    assert pacer.gap_ticks == 0
    assert pacer.stats.flushed == 6
    assert pacer.stats.underruns == 0


def test_a_long_stall_of_ours_is_not_made_good_by_a_burst() -> None:
    """Up to max_stall_ms everything due goes out at once; after a longer one the schedule moves."""
    pacer: Pacer[int] = Pacer(lead_ms=0, max_stall_ms=500)
    fill(pacer, 100)
    assert pacer.pop_due(START) == [0]
    assert len(pacer.pop_due(START + 0.4)) == 20
    assert pacer.pop_due(START + 3.42) == [21]
    assert pacer.stats.stalls == 1
    assert pacer.gap_ticks == 48_000 * 3
    assert pacer.next_deadline() == pytest.approx(START + 3.44)


def test_a_full_pacer_refuses_and_keeps_what_it_has() -> None:
    """max_ms bounds what waits; an item longer than that is taken alone, or nothing could ever be sent."""
    pacer: Pacer[str] = Pacer(max_ms=50)
    assert pacer.push("a", FRAME)
    assert pacer.push("b", FRAME)
    assert not pacer.push("c", FRAME)
    assert pacer.push("d", 480)
    assert pacer.stats.refused == 1
    assert pacer.flush() == ["a", "b", "d"]
    assert pacer.push("long", 48_000)
    with pytest.raises(ValueError, match="ticks"):
        pacer.push("nothing", 0)


def test_settings_are_checked() -> None:
    """Negative times make no sense."""
    for bad in ({"lead_ms": -1}, {"max_ms": 0}, {"restart_ms": -1}, {"max_stall_ms": -1}):
        with pytest.raises(ValueError, match="or more"):
            Pacer(**bad)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.sampled_from((120, 480, 960, 2880))),
        st.tuples(st.just("wait"), st.integers(0, 2_000)),
        st.tuples(st.just("deadline"), st.just(0)),
        st.tuples(st.just("flush"), st.just(0)),
        st.tuples(st.just("end"), st.just(0)),
    ),
    max_size=60,
)


@given(steps=steps, lead_ms=st.sampled_from((0, 20, 60, 200)))
def test_whatever_happens_order_holds_and_the_lead_is_kept(steps: list[tuple[str, int]], lead_ms: int) -> None:
    """Items leave in order, once; in a talkspurt never more than lead plus one item ahead of the clock."""
    pacer: Pacer[int] = Pacer(lead_ms=lead_ms, max_ms=1_000)
    now = START
    waiting: list[tuple[int, int]] = []
    number = 0
    spurt_start, spurt_ticks, spurts = now, 0, 0
    for step, value in steps:
        if step == "push":
            if pacer.push(number, value):
                waiting.append((number, value))
                number += 1
        elif step == "flush":
            assert pacer.flush() == [item for item, _ in waiting]
            waiting.clear()
        elif step == "end":
            pacer.end()
        else:
            deadline = pacer.next_deadline()
            assert (deadline is None) == (not waiting)
            now = max(now, deadline or now) if step == "deadline" else now + value / 1000
            due = pacer.pop_due(now)
            assert due == [item for item, _ in waiting[: len(due)]]
            if pacer.stats.talkspurts != spurts:
                spurts = pacer.stats.talkspurts
                spurt_start, spurt_ticks = now, 0
            for _ in due:
                assert spurt_ticks / 48_000 <= now - spurt_start + lead_ms / 1000 + 1e-6
                spurt_ticks += waiting.pop(0)[1]
            after = pacer.next_deadline()
            assert after is None or after > now
    assert pacer.pending_ms == sum(ticks for _, ticks in waiting) / 48
