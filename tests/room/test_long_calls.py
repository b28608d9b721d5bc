"""Hours of calls in seconds of virtual time."""

from __future__ import annotations

from roomtone.room.events import SpeakersChanged
from tests.room.people import Hall


def test_an_hour_of_conversation() -> None:
    """Two people take turns of five seconds for an hour: every packet arrives, every turn is noticed."""
    hall = Hall()
    (ada, first), (bob, second) = hall.speaker("ada"), hall.speaker("bob")
    turns = 360
    for _ in range(turns):
        hall.talk(first, seconds=5)
        hall.talk(second, seconds=5)
    packets = turns * 250
    assert len(hall.people["ada"].heard) == packets
    assert hall.people["bob"].sequences()[:65_536] == list(range(65_536))
    assert hall.people["bob"].sequences()[65_536:] == list(range(packets - 65_536))
    assert hall.people["ada"].marked() == []
    statistics = hall.room.statistics
    assert (statistics.packets_in, statistics.packets_delivered) == (2 * packets, 2 * packets)
    began = [
        {participant_id for participant_id, _ in event.speakers} for event in hall.people["ada"].of(SpeakersChanged)
    ]
    assert sum(speakers == {ada.participant_id} for speakers in began) >= turns
    assert sum(speakers == {bob.participant_id} for speakers in began) >= turns


def test_an_hour_of_reconnecting() -> None:
    """A connection that is lost once a minute keeps its ids, misses no event and never times out."""
    hall = Hall(reconnect_grace_s=30)
    ada, track = hall.speaker("ada")
    seat, _ = hall.speaker("bob")
    seen = hall.room.last_event_id
    told: list[int] = []
    for minute in range(60):
        hall.talk(track, seconds=2)
        seat.suspend(hall.now)
        ada.send("minute", minute, hall.now)
        hall.wait(29)
        missed = seat.resume(seen, hall.now)
        assert missed is not None
        told += [event.event_id for event in missed]
        seen = hall.room.last_event_id
        hall.wait(29)
    assert told == list(range(told[0], seen + 1))
    assert not seat.gone
    assert len(hall.people["bob"].heard) == 60 * 100
    assert len(hall.people["bob"].marked()) == 59


def test_a_thousand_people_come_and_go() -> None:
    """Nothing of them stays behind in the room."""
    hall = Hall(capacity=1000)
    _, track = hall.speaker("host")
    for number in range(1000):
        hall.now += 0.02
        seat, own = hall.speaker(f"guest {number}")
        hall.say(track)
        hall.say(own)
        seat.leave(hall.now)
        hall.people.pop(f"guest {number}")
    assert [view.track for view in hall.room.tracks] == [track.id]
    assert len(hall.room) == 1
    hall.say(track)
    assert track.listeners == ()
    assert len(track.hearing) == 0
    statistics = hall.room.statistics
    assert (statistics.packets_in, statistics.packets_delivered) == (2001, 2000)
