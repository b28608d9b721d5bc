from __future__ import annotations

from roomtone.protocol.clock import ClockFilter


def test_before_the_first_exchange() -> None:
    """Nothing is known."""
    clock = ClockFilter()
    assert clock.rtt_ms is None
    assert clock.offset_ms is None


def test_the_shortest_round_trip_is_believed() -> None:
    """A long exchange, which may be lopsided, does not move the offset."""
    clock = ClockFilter()
    clock.add(0, 1_090, 100)  # 90 ms there, 10 ms back: looks like 1,040
    clock.add(1_000, 2_005, 1_010)
    assert clock.rtt_ms == 10
    assert clock.offset_ms == 1_000
    clock.add(2_000, 3_010, 2_100)
    assert clock.offset_ms == 1_000


def test_old_exchanges_are_forgotten() -> None:
    """After eight more the best one no longer counts: routes and clocks change."""
    clock = ClockFilter()
    clock.add(0, 1_005, 10)
    for n in range(8):
        clock.add(n * 1_000, n * 1_000 + 2_010, n * 1_000 + 20)
    assert clock.rtt_ms == 20
    assert clock.offset_ms == 2_000


def test_an_answer_before_its_question_is_ignored() -> None:
    """A peer that invents `sent_at_ms` does not move the clock."""
    clock = ClockFilter()
    clock.add(5_000, 0, 10)
    assert clock.offset_ms is None
