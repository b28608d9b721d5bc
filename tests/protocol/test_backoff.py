from __future__ import annotations

from roomtone.protocol.backoff import Backoff


def test_delays_double_up_to_the_early_cap() -> None:
    """With the highest draw the delays are the ceilings: 0.25 s doubling to 4 s."""
    backoff = Backoff(lambda: 1.0)
    assert [backoff.delay_s(0.0) for _ in range(7)] == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert backoff.attempts == 7


def test_jitter_is_full() -> None:
    """The delay is the whole ceiling times the draw: 0 is a possible delay."""
    draws = iter([0.0, 0.5])
    backoff = Backoff(lambda: next(draws))
    assert backoff.delay_s(0.0) == 0.0
    assert backoff.delay_s(0.0) == 0.25


def test_late_cap_after_a_minute() -> None:
    """A minute after the first failure the cap is 30 s."""
    backoff = Backoff(lambda: 1.0)
    for _ in range(20):
        backoff.delay_s(100.0)
    assert backoff.delay_s(159.9) == 4.0
    assert backoff.delay_s(160.0) == 30.0


def test_reset() -> None:
    """After a session the next failure begins from the start, its minute too."""
    backoff = Backoff(lambda: 1.0)
    for _ in range(9):
        backoff.delay_s(0.0)
    backoff.reset()
    assert backoff.attempts == 0
    assert backoff.delay_s(1_000.0) == 0.25
    for _ in range(9):
        backoff.delay_s(1_059.0)
    assert backoff.delay_s(1_059.0) == 4.0
