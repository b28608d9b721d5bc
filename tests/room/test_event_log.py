"""The log of a room: numbers, reach, who may see what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roomtone.room.event_log import EventLog, weigh
from roomtone.room.events import MessageSent, RoomEvent, TrackFlushed


def flushed(number: int) -> RoomEvent:
    return TrackFlushed(track=number, from_sequence=0)


def test_events_are_numbered_from_one_and_kept_to_a_bound() -> None:
    """The oldest go first."""
    log = EventLog(3)
    events = [flushed(number) for number in range(5)]
    for event in events:
        log.append(event)
    assert [event.event_id for event in events] == [1, 2, 3, 4, 5]
    assert (log.last_id, len(log)) == (5, 3)
    assert log.since(2, "ada", "p1") == events[2:]
    assert log.since(1, "ada", "p1") is None
    assert log.since(5, "ada", "p1") == []
    assert log.since(6, "ada", "p1") is None


def test_an_empty_log_reaches_back_to_the_beginning() -> None:
    """Nothing happened, nothing was missed."""
    assert EventLog(3).since(0, "ada", "p1") == []
    assert EventLog(3).since(-1, "ada", "p1") is None


def test_the_audience_and_the_exception_are_kept() -> None:
    """By identity and by participant id."""
    log = EventLog(10)
    log.append(flushed(1), audience=frozenset({"ada"}))
    log.append(flushed(2), without="p1")
    log.append(flushed(3))

    def seen(identity: str, participant_id: str) -> list[int]:
        return [event.track for event in log.since(0, identity, participant_id) or []]  # type: ignore[attr-defined]

    assert seen("ada", "p1") == [1, 3]
    assert seen("bob", "p2") == [2, 3]


@given(st.integers(1, 20), st.integers(0, 60), st.integers(-5, 70))
def test_since_gives_exactly_the_missed_or_says_that_it_cannot(size: int, told: int, last_seen: int) -> None:
    """The answer is every number after the last one seen, or None."""
    log = EventLog(size)
    for number in range(told):
        log.append(flushed(number))
    missed = log.since(last_seen, "ada", "p1")
    if missed is None:
        assert last_seen > told or last_seen < max(0, told - size)
    else:
        assert [event.event_id for event in missed] == list(range(last_seen + 1, told + 1))


def test_the_log_is_bounded_in_bytes_too() -> None:
    """A thousand long messages are not kept; who missed them begins from a snapshot."""
    log = EventLog(1024, max_bytes=100_000)
    for number in range(200):
        data = {"text": "x" * 8_000, "more": [number, None, {"deep": "y" * 1_000}]}
        log.append(MessageSent(sender="ada", participant_id="p1", topic="t", data=data))
        assert log.bytes <= 100_000
    assert 1 <= len(log) < 10
    assert log.since(log.last_id - 1, "bob", "p2") is not None
    assert log.since(log.last_id - 20, "bob", "p2") is None


def test_an_event_that_is_too_heavy_alone_is_not_kept() -> None:
    """It is numbered and told, and whoever was away begins from a snapshot."""
    log = EventLog(10, max_bytes=2_000)
    log.append(flushed(1))
    log.append(MessageSent(sender="ada", participant_id="p1", topic="t", data="x" * 2_000))
    assert (len(log), log.bytes, log.last_id) == (0, 0, 2)
    assert log.since(1, "bob", "p2") is None
    log.append(flushed(3))
    assert [event.event_id for event in log.since(2, "bob", "p2") or ()] == [3]


@given(st.lists(st.integers(0, 3_000), max_size=60))
def test_the_bytes_are_the_sum_of_what_is_kept(lengths: list[int]) -> None:
    """Counted up and down without drifting."""
    log = EventLog(8, max_bytes=10_000)
    for length in lengths:
        log.append(MessageSent(sender="a", participant_id="p", topic="", data="x" * length))
    kept = log.since(log.last_id - len(log), "bob", "p2")
    assert kept is not None
    assert log.bytes == sum(map(weigh, kept)) <= 10_000
