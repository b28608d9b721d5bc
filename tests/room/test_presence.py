"""A lost connection: the seat is kept, the others see it, and what was missed is told on the return."""

from __future__ import annotations

import pytest

from roomtone.room.events import (
    MessageSent,
    ParticipantLeft,
    ParticipantUpdated,
    Removed,
    RoomEvent,
    SpeakersChanged,
)
from tests.room.people import Hall


def kinds(events: list[RoomEvent] | None) -> list[str]:
    assert events is not None
    return [type(event).__name__ for event in events]


def test_a_suspended_seat_gets_nothing_and_is_seen_reconnecting() -> None:
    """Neither audio nor events; its own packets go nowhere."""
    hall = Hall()
    _, track = hall.speaker("ada")
    seat, own = hall.speaker("bob")
    hall.say(track)
    bob = hall.people["bob"]
    bob.told.clear()
    bob.heard.clear()
    seat.suspend(hall.now)
    seat.suspend(hall.now)
    hall.room.send("t", 1, hall.now)
    hall.say(track)
    hall.say(own)
    assert bob.told == []
    assert bob.heard == []
    assert hall.people["ada"].heard == []
    updates = hall.people["ada"].of(ParticipantUpdated)
    assert [event.participant.presence for event in updates] == ["reconnecting"]
    assert hall.room.statistics.packets_dropped == {"suspended": 1}


def test_resume_tells_what_was_missed_in_order_and_goes_on_with_the_same_ids() -> None:
    """The own return is the last of the missed events; nothing is told twice."""
    hall = Hall()
    ada, track = hall.speaker("ada")
    seat, own = hall.speaker("bob")
    last_seen = hall.room.last_event_id
    hall.say(track)
    seat.suspend(hall.now)
    ada.send("chat", "hello", hall.now)
    ada.mute(True, hall.now)
    ada.mute(False, hall.now)
    bob = hall.people["bob"]
    bob.told.clear()
    missed = seat.resume(last_seen, hall.now)
    assert kinds(missed) == [
        "ParticipantUpdated",
        "MessageSent",
        "TrackUpdated",
        "TrackUpdated",
        "ParticipantUpdated",
    ]
    assert missed is not None
    assert [event.event_id for event in missed] == list(range(last_seen + 1, last_seen + 6))
    assert bob.told == []
    hall.say(track)
    hall.say(own)
    assert bob.marked() == [1]
    assert hall.people["ada"].sequences() == [0]
    assert [event.participant.presence for event in hall.people["ada"].of(ParticipantUpdated)] == [
        "reconnecting",
        "joined",
    ]


def test_resume_past_the_logs_reach_asks_for_a_snapshot() -> None:
    """Neither too old nor from the future, nor below zero."""
    hall = Hall(event_log_size=4)
    seat = hall.join("ada")
    seat.suspend(hall.now)
    for number in range(3):
        hall.room.send("t", number, hall.now)
    assert seat.resume(1, hall.now) is None
    seat.suspend(hall.now)
    assert kinds(seat.resume(hall.room.last_event_id - 1, hall.now)) == ["ParticipantUpdated"] * 2
    assert seat.resume(hall.room.last_event_id + 1, hall.now) is None
    assert seat.resume(hall.room.last_event_id, hall.now) == []
    assert seat.presence == "joined"


def test_what_was_told_before_the_join_is_not_replayed() -> None:
    """Whoever claims to have seen nothing gets nothing that was not meant for them."""
    hall = Hall()
    hall.join("ada")
    hall.room.send("secret", 1, hall.now)
    seat = hall.join("bob")
    seat.suspend(hall.now)
    assert "MessageSent" not in kinds(seat.resume(0, hall.now))


def test_messages_to_others_are_not_replayed() -> None:
    """Only the named identities find them in the log; one's own to all are not told back."""
    hall = Hall()
    ada = hall.join("ada")
    bob, cy = hall.join("bob"), hall.join("cy")
    last_seen = hall.room.last_event_id
    for seat in (ada, bob, cy):
        seat.suspend(hall.now)
    hall.room.send("t", "for bob", hall.now, to=["bob"])
    ada.send("t", "for all", hall.now)

    def replayed(name: str) -> list[object]:
        seat = hall.room.find(name)
        return [event.data for event in seat.resume(last_seen, hall.now) or [] if isinstance(event, MessageSent)]

    assert replayed("bob") == ["for bob", "for all"]
    assert replayed("cy") == ["for all"]
    assert replayed("ada") == []


def test_the_grace_window_ends() -> None:
    """The participant is told last, the others why; tick says when."""
    hall = Hall(reconnect_grace_s=30)
    hall.join("ada")
    seat = hall.join("bob")
    seat.suspend(hall.now)
    assert hall.room.tick(hall.now) == 30
    assert not seat.gone
    hall.now = 30
    hall.room.tick(hall.now)
    assert seat.gone
    last = hall.people["bob"].told[-1]
    assert isinstance(last, Removed)
    assert last.reason == "timed_out"
    assert hall.people["ada"].of(ParticipantLeft)[0].reason == "timed_out"


def test_a_return_ends_the_grace_window() -> None:
    """The next loss starts a new one."""
    hall = Hall(reconnect_grace_s=30)
    seat = hall.join("ada")
    seat.suspend(0)
    seat.resume(0, 20)
    hall.room.tick(40)
    assert not seat.gone
    seat.suspend(50)
    assert hall.room.tick(60) == 80


def test_away_survives_a_reconnect() -> None:
    """Reconnecting is shown before away, away comes back."""
    hall = Hall()
    seat = hall.join("ada")
    seat.set_state(hall.now, away=True)
    assert seat.presence == "away"
    seat.suspend(hall.now)
    assert seat.presence == "reconnecting"
    seat.resume(0, hall.now)
    assert seat.view().presence == "away"


def test_a_returning_participant_is_told_who_speaks_now() -> None:
    """Speakers are not in the log, so the present ones are told at the next tick, to it alone."""
    hall = Hall()
    ada, track = hall.speaker("ada")
    seat = hall.join("bob")
    seat.suspend(hall.now)
    hall.talk(track, seconds=1)
    seat.resume(0, hall.now)
    told_ada = len(hall.people["ada"].of(SpeakersChanged))
    hall.talk(track, seconds=0.04)
    events = hall.people["bob"].of(SpeakersChanged)
    assert [event.speakers for event in events] == [((ada.participant_id, 20),)]
    assert len(hall.people["ada"].of(SpeakersChanged)) == told_ada


def test_a_weak_listener_starts_afresh_with_its_new_connection() -> None:
    """The old connection's weakness is not the new one's."""
    hall = Hall()
    hall.speaker("ada")
    hall.speaker("bob")
    seat = hall.join("cy")
    seat.set_weak(True, hall.now)
    assert len(seat.heard) == 1
    seat.suspend(hall.now)
    assert len(seat.heard) == 0
    seat.resume(0, hall.now)
    assert len(seat.heard) == 2


@pytest.mark.parametrize("reason", ["left", "too_slow"])
def test_a_suspended_seat_can_be_left(reason: str) -> None:
    """No timeout follows."""
    hall = Hall()
    hall.join("ada")
    seat = hall.join("bob")
    seat.suspend(hall.now)
    seat.leave(hall.now, reason)  # type: ignore[arg-type]
    hall.room.tick(1000)
    assert [event.reason for event in hall.people["ada"].of(ParticipantLeft)] == [reason]
