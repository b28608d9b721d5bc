"""The age of unacknowledged audio, on a virtual clock."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roomtone.participants.websocket_lag import Lag


def test_nothing_sent_is_no_lag() -> None:
    """However late one looks."""
    lag = Lag()
    assert lag.look(0.0) == 0
    assert lag.look(100.0) == 0


def test_the_oldest_unacknowledged_look_tells_the_age() -> None:
    """Acknowledging everything up to a look moves the age to the next one."""
    lag = Lag()
    lag.sent = 10
    assert lag.look(1.0) == 0
    lag.sent = 20
    assert lag.look(1.25) == 0.25
    assert lag.acknowledge(10)
    assert lag.look(1.5) == 0.25
    assert lag.acknowledge(20)
    assert lag.look(1.75) == 0
    assert lag.outstanding == 0


def test_acknowledging_more_than_was_sent_is_a_lie() -> None:
    """It changes nothing."""
    lag = Lag()
    lag.sent = 5
    assert not lag.acknowledge(6)
    assert lag.outstanding == 5
    assert not lag.reported


def test_an_older_report_does_not_take_back_a_newer() -> None:
    """Counts only go up."""
    lag = Lag()
    lag.sent = 5
    assert lag.acknowledge(5)
    assert lag.acknowledge(3)
    assert lag.outstanding == 0


def test_a_stuck_listener_ages_without_end_in_bounded_memory() -> None:
    """An hour without a report is an hour of lag."""
    lag = Lag()
    for look in range(4 * 3600):
        lag.sent += 12
        age = lag.look(look / 4)
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
        lag.sent += sent
        received = min(len(sent_at), received + acknowledged)
        assert lag.acknowledge(received)
        age = lag.look(now)
        true_age = now - sent_at[received] if received < len(sent_at) else 0.0
        assert true_age - 0.25 <= age <= true_age or turn >= 60
