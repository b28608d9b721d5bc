"""The age of unacknowledged audio, on a virtual clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.participants.websocket_lag import Lag


def test_nothing_sent_is_no_lag() -> None:
    """However late one looks."""
    lag = Lag()
    assert lag.look(0, 0.0) == 0
    assert lag.look(0, 100.0) == 0


def test_the_oldest_unacknowledged_look_tells_the_age() -> None:
    """Acknowledging everything up to a look moves the age to the next one."""
    lag = Lag()
    assert lag.look(10, 1.0) == 0
    assert lag.look(20, 1.25) == 0.25
    assert lag.acknowledge(10, 20)
    assert lag.look(20, 1.5) == 0.25
    assert lag.acknowledge(20, 20)
    assert lag.look(20, 1.75) == 0


def test_acknowledging_more_than_was_sent_is_a_lie() -> None:
    """It changes nothing."""
    lag = Lag()
    assert not lag.acknowledge(6, 5)
    assert lag.received == 0
    assert not lag.reported


def test_an_older_report_does_not_take_back_a_newer() -> None:
    """Counts only go up."""
    lag = Lag()
    assert lag.acknowledge(5, 5)
    assert lag.acknowledge(3, 5)
    assert lag.received == 5


def test_a_report_of_nothing_is_none() -> None:
    """A publisher's report, or that of a client that does not count, says 0."""
    lag = Lag()
    assert lag.acknowledge(0, 5)
    assert not lag.reported


def test_the_way_there_and_back_is_not_lag() -> None:
    """The shortest round trip is taken off; a longer one later changes nothing."""
    lag = Lag()
    lag.round_trip(0.4)
    lag.round_trip(3.0)
    assert lag.look(1, 0.0) == 0
    assert lag.look(1, 0.25) == 0
    assert lag.look(1, 1.0) == pytest.approx(0.6)


def test_a_ping_that_is_answered_late_excuses_nothing() -> None:
    """A connection may be stuck from its first second on."""
    lag = Lag()
    lag.round_trip(5.0)
    lag.look(1, 0.0)
    assert lag.look(1, 6.0) == 6.0


def test_a_stuck_listener_ages_without_end_in_bounded_memory() -> None:
    """An hour without a report is an hour of lag."""
    lag = Lag()
    for look in range(4 * 3600):
        age = lag.look(12 * (look + 1), look / 4)
    assert age == (4 * 3600 - 1) / 4


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 60)), max_size=200))
def test_the_age_is_that_of_the_oldest_frame_within_one_look(steps: list[tuple[int, int]]) -> None:
    """Against a model that remembers when each frame was sent: at most one look of 0.25 s too young."""
    lag = Lag()
    sent_at: list[float] = []
    received = 0
    for turn, (sent, acknowledged) in enumerate(steps):
        now = turn * 0.25
        sent_at += [now] * sent
        received = min(len(sent_at), received + acknowledged)
        assert lag.acknowledge(received, len(sent_at))
        age = lag.look(len(sent_at), now)
        true_age = now - sent_at[received] if received < len(sent_at) else 0.0
        assert true_age - 0.25 <= age <= true_age or turn >= 60
