"""A packet's way through the room: to everybody else, checked, gated, budgeted and counted."""

from __future__ import annotations

import pytest

from roomtone.media.packet import Codec, Packet
from roomtone.room.errors import RoomError
from roomtone.room.events import AudioEnded, TrackClockTold, TrackDucked, TrackFlushed
from roomtone.room.grants import Grants
from tests.room.people import AUDIENCE, Hall, frame


def test_everybody_else_gets_the_same_object() -> None:
    """One packet is shared by all listeners, and its speaker does not hear it."""
    hall = Hall()
    seat, track = hall.speaker("ada")
    for name in ("bob", "cy"):
        hall.join(name)
    packet = frame(track, 0)
    seat.publish(packet, hall.now)
    assert hall.people["bob"].heard[0] is packet
    assert hall.people["cy"].heard[0] is packet
    assert hall.people["ada"].heard == []


def test_one_publisher_and_five_hundred_listeners() -> None:
    """Each of them hears each packet once, in order; the counters are the product."""
    hall = Hall(capacity=501)
    _, track = hall.speaker("ada")
    hall.say(track)
    for number in range(500):
        hall.join(f"listener {number}")
    hall.say(track, 20)
    listeners = [person for name, person in hall.people.items() if name != "ada"]
    assert all(person.sequences() == list(range(1, 21)) for person in listeners)
    assert all(person.marked() == [1] for person in listeners)
    statistics = hall.room.statistics
    assert (statistics.packets_in, statistics.packets_delivered, statistics.packets_dropped) == (21, 10_000, {})


def test_a_listener_of_a_running_track_begins_with_a_discontinuity_and_others_do_not_notice() -> None:
    """Only the joiner's first packet is flagged; of a track that begins, nobody's is."""
    hall = Hall()
    _, track = hall.speaker("ada")
    hall.join("early")
    hall.say(track, 3)
    hall.join("late")
    hall.say(track, 3)
    assert hall.people["early"].marked() == []
    assert hall.people["late"].sequences() == [3, 4, 5]
    assert hall.people["late"].marked() == [3]


def test_tracks_that_are_not_ones_own_are_refused() -> None:
    """Neither an unknown number nor somebody else's track passes."""
    hall = Hall()
    _, track = hall.speaker("ada")
    bob = hall.join("bob")
    for packet in (frame(track, 0), Packet(77, 0, 0, b"x")):
        with pytest.raises(RoomError) as refused:
            bob.publish(packet, hall.now)
        assert refused.value.code == "unknown_track"
    assert hall.people["ada"].heard == []
    for command in (
        lambda: bob.close_track(track.id, hall.now),
        lambda: bob.flush(track.id, 0, hall.now),
        lambda: bob.duck(track.id, -6, 0, hall.now),
        lambda: bob.audio_end(track.id, hall.now),
        lambda: bob.clock(track.id, 0, 0.0, hall.now),
        lambda: bob.mute(True, hall.now, track.id),
    ):
        with pytest.raises(RoomError) as refused:
            command()
        assert refused.value.code == "unknown_track"


def test_another_codec_than_the_tracks_is_refused() -> None:
    """Listeners chose the track by its codec."""
    hall = Hall()
    seat, track = hall.speaker("ada")
    hall.join("bob")
    with pytest.raises(RoomError) as refused:
        seat.publish(frame(track, 0, codec=Codec.PCMU), hall.now)
    assert refused.value.code == "bad_audio"
    assert hall.people["bob"].heard == []


def test_nobody_gets_what_it_cannot_decode_or_may_not_hear() -> None:
    """A seat's codecs and its subscribe grant decide."""
    hall = Hall()
    hall.join("phone", codecs=frozenset({"pcmu"}))
    hall.join("deaf", Grants(subscribe=False))
    hall.join("bob")
    _, track = hall.speaker("ada")
    hall.say(track)
    assert [len(hall.people[name].heard) for name in ("phone", "deaf", "bob")] == [0, 0, 1]


def test_without_the_publish_grant_nothing_is_opened() -> None:
    """Such a participant is shown as a listener."""
    hall = Hall()
    seat = hall.join("ada", AUDIENCE)
    with pytest.raises(RoomError) as refused:
        seat.open_track("opus", hall.now)
    assert refused.value.code == "not_permitted"
    assert seat.view().role == "listener"


def test_a_muted_tracks_packets_reach_nobody_and_the_next_ones_are_flagged() -> None:
    """Dropped packets are counted, not refused; the sequence goes on being known."""
    hall = Hall()
    seat, track = hall.speaker("ada")
    hall.join("bob")
    hall.say(track, 2)
    seat.mute(True, hall.now)
    hall.say(track, 3)
    seat.mute(False, hall.now)
    hall.say(track, 2)
    bob = hall.people["bob"]
    assert bob.sequences() == [0, 1, 5, 6]
    assert bob.marked() == [5]
    assert hall.room.statistics.packets_dropped == {"muted": 3}
    assert track.last_sequence == 6


def test_a_mute_without_packets_is_a_gap_too() -> None:
    """A client that sends nothing while muted still jumps in time."""
    hall = Hall()
    seat, track = hall.speaker("ada")
    hall.join("bob")
    hall.say(track)
    seat.mute(True, hall.now)
    seat.mute(False, hall.now)
    hall.say(track)
    assert hall.people["bob"].marked() == [1]


def test_a_track_over_its_bitrate_loses_packets_and_recovers() -> None:
    """A second's worth passes at once, after that only the rate; what follows a drop is flagged."""
    hall = Hall(max_bitrate_bps=8 * 92 * 101 // 2)
    _, track = hall.speaker("ada")
    hall.join("bob")
    hall.say(track, 80)
    bob = hall.people["bob"]
    assert len(bob.heard) == 50
    assert hall.room.statistics.packets_dropped == {"bitrate": 30}
    hall.now += 0.5
    hall.say(track, 80)
    assert len(bob.heard) == 75
    assert bob.marked() == [80]
    hall.now += 10
    hall.talk(track, seconds=20)
    assert len(bob.heard) == 75 + 1000


def test_large_rooms_are_handed_to_the_spreader() -> None:
    """Above the bound every packet goes there with a tuple; first-time listeners apart,
    flagged. It stays so when the room shrinks, or a loop would overtake the slices on their way."""
    spread: list[tuple[Packet, int]] = []

    def spreader(packet: Packet, listeners: tuple[object, ...], now: float) -> None:
        spread.append((packet, len(listeners)))
        for deliver in listeners:
            deliver(packet, now)  # type: ignore[operator]

    hall = Hall(spread=spreader, spread_above=2)
    _, track = hall.speaker("ada")
    for name in ("bob", "cy"):
        hall.join(name)
    hall.say(track, 2)
    assert spread == []
    eve = hall.join("eve")
    hall.say(track, 2)
    assert [count for _, count in spread] == [1, 2, 3]
    assert hall.people["eve"].marked() == [2]
    assert hall.people["bob"].sequences() == [0, 1, 2, 3]
    assert hall.people["bob"].marked() == []
    eve.leave(hall.now)
    hall.say(track)
    assert [count for _, count in spread] == [1, 2, 3, 2]
    assert hall.room.statistics.packets_delivered == 2 * 2 + 3 * 2 + 2


def test_what_an_owner_says_of_its_track() -> None:
    """Flush and duck are told to all and logged; the end of speech and the clock only to the listeners."""
    hall = Hall()
    seat, track = hall.speaker("ada")
    hall.join("bob")
    hall.join("deaf", Grants(subscribe=False))
    before = hall.room.last_event_id
    seat.flush(track.id, 7, hall.now)
    seat.duck(track.id, -12, 80, hall.now)
    assert hall.room.last_event_id == before + 2
    seat.audio_end(track.id, hall.now)
    seat.clock(track.id, 960, 12.5, hall.now)
    assert hall.room.last_event_id == before + 2
    bob, deaf, ada = (hall.people[name] for name in ("bob", "deaf", "ada"))
    assert [(event.track, event.from_sequence) for event in bob.of(TrackFlushed)] == [(track.id, 7)]
    assert [(event.gain_db, event.ramp_ms) for event in deaf.of(TrackDucked)] == [(-12, 80)]
    assert [event.event_id for event in bob.of(AudioEnded)] == [0]
    assert [(event.timestamp, event.sender_time_ms) for event in bob.of(TrackClockTold)] == [(960, 12.5)]
    for person in (deaf, ada):
        assert person.of(AudioEnded) == []
        assert person.of(TrackClockTold) == []
    seat.mute(True, hall.now)
    seat.audio_end(track.id, hall.now)
    assert len(bob.of(AudioEnded)) == 1


@pytest.mark.parametrize(("gain_db", "ramp_ms"), [(1, 50), (-61, 50), (float("nan"), 50), (-6, -1), (-6, 5001)])
def test_a_duck_out_of_range_is_refused(gain_db: float, ramp_ms: int) -> None:
    """Ducking never amplifies and never lasts."""
    hall = Hall()
    seat, track = hall.speaker("ada")
    with pytest.raises(RoomError) as refused:
        seat.duck(track.id, gain_db, ramp_ms, hall.now)
    assert refused.value.code == "invalid"


def test_a_closed_tracks_counters_stay() -> None:
    """The room's totals only grow."""
    hall = Hall()
    seat, track = hall.speaker("ada")
    hall.join("bob")
    hall.say(track, 3)
    seat.mute(True, hall.now)
    hall.say(track)
    seat.close_track(track.id, hall.now)
    statistics = hall.room.statistics
    assert (statistics.packets_in, statistics.packets_delivered, statistics.packets_dropped) == (4, 3, {"muted": 1})
    assert statistics.tracks == 0
