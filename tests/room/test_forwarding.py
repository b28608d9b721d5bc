"""What each listener gets: subscriptions, the most active speakers, weak listeners."""

from __future__ import annotations

import pytest

from roomtone.room.errors import RoomError
from roomtone.room.events import BitrateRequested, SpeakersChanged
from tests.room.people import Hall


def test_chosen_tracks_only() -> None:
    """Mode tracks hears the listed ones, those that open later too, until all are wanted again."""
    hall = Hall()
    _, one = hall.speaker("ada")
    _, two = hall.speaker("bob")
    seat = hall.join("cy")
    seat.subscribe("tracks", hall.now, tracks=[two.id, 2])
    _, three = hall.speaker("dan")
    for track in (one, two, three):
        hall.say(track)
    cy = hall.people["cy"]
    assert [packet.track for packet in cy.heard] == [two.id, three.id]
    seat.subscribe("all", hall.now)
    for track in (one, two, three):
        hall.say(track)
    assert [packet.track for packet in cy.heard[2:]] == [one.id, two.id, three.id]
    assert [packet.track for packet in cy.heard if packet.flags] == [one.id]


def test_the_most_active_speakers_only() -> None:
    """Somebody who begins to speak takes the place of somebody silent, beginning with a discontinuity."""
    hall = Hall()
    tracks = [hall.speaker(name)[1] for name in ("ada", "bob", "cy")]
    hall.join("eve").subscribe("speakers", hall.now, limit=2)
    eve = hall.people["eve"]
    hall.talk(*tracks, seconds=1, voice=False, level=60)
    assert {packet.track for packet in eve.heard} == {tracks[0].id, tracks[1].id}
    eve.heard.clear()
    hall.talk(tracks[2], seconds=1)
    hall.talk(tracks[0], tracks[1], tracks[2], seconds=1)
    heard = {packet.track for packet in eve.heard[-50:]}
    assert tracks[2].id in heard
    assert len(heard) == 2
    assert next(packet for packet in eve.heard if packet.track == tracks[2].id).flags


def test_speakers_beyond_the_limit_do_not_flap_when_all_are_equally_loud() -> None:
    """Whoever is heard stays heard while speaking, unless another is louder by a clear margin."""
    hall = Hall()
    tracks = [hall.speaker(name)[1] for name in ("ada", "bob", "cy")]
    seat = hall.join("eve")
    seat.subscribe("speakers", hall.now, limit=1)
    hall.talk(*tracks, seconds=5, level=20)
    assert set(seat.heard) == {tracks[0].id}
    for _ in range(50):
        hall.now += 0.02
        hall.say(tracks[0], level=28)
        hall.say(tracks[1], level=20)
        hall.room.tick(hall.now)
    assert set(seat.heard) == {tracks[1].id}


def test_a_rooms_speakers_limit_binds_all_but_chosen_tracks() -> None:
    """Asking for all, or for more speakers, does not get past it; naming tracks does."""
    hall = Hall(speakers_limit=1)
    tracks = [hall.speaker(name)[1] for name in ("ada", "bob", "cy")]
    seat = hall.join("eve")
    assert len(seat.heard) == 1
    seat.subscribe("speakers", hall.now, limit=3)
    assert len(seat.heard) == 1
    seat.subscribe("all", hall.now)
    assert len(seat.heard) == 1
    seat.subscribe("tracks", hall.now, tracks=[track.id for track in tracks])
    assert len(seat.heard) == 3


def test_one_hears_others_not_oneself_among_the_most_active() -> None:
    """The limit counts those one can hear."""
    hall = Hall(speakers_limit=1)
    ada, _ = hall.speaker("ada")
    bob, _ = hall.speaker("bob")
    assert set(ada.heard) == set(bob.tracks)
    assert set(bob.heard) == set(ada.tracks)


def test_when_a_speaker_closes_its_track_the_next_one_moves_up() -> None:
    """A place that becomes free is taken."""
    hall = Hall(speakers_limit=1)
    ada, first = hall.speaker("ada")
    _, second = hall.speaker("bob")
    seat = hall.join("eve")
    assert set(seat.heard) == {first.id}
    ada.close_track(first.id, hall.now)
    assert set(seat.heard) == {second.id}


@pytest.mark.parametrize(("mode", "limit"), [("some", 3), ("speakers", 0)])
def test_subscriptions_that_mean_nothing_are_refused(mode: str, limit: int) -> None:
    """The former subscription stays."""
    hall = Hall()
    _, track = hall.speaker("ada")
    seat = hall.join("bob")
    with pytest.raises(RoomError) as refused:
        seat.subscribe(mode, hall.now, limit=limit)  # type: ignore[arg-type]
    assert refused.value.code == "invalid"
    assert set(seat.heard) == {track.id}


def test_a_weak_listener_hears_the_most_active_speaker_only() -> None:
    """And all again when it recovers, each from a discontinuity."""
    hall = Hall()
    _, one = hall.speaker("ada")
    _, two = hall.speaker("bob")
    seat = hall.join("cy")
    hall.talk(two, seconds=0.5)
    seat.set_weak(True, hall.now)
    assert set(seat.heard) == {two.id}
    hall.people["cy"].heard.clear()
    hall.say(one)
    hall.say(two)
    assert [packet.track for packet in hall.people["cy"].heard] == [two.id]
    seat.set_weak(False, hall.now)
    hall.say(one)
    hall.say(two)
    assert [(packet.track, bool(packet.flags)) for packet in hall.people["cy"].heard[1:]] == [
        (one.id, True),
        (two.id, False),
    ]


def test_when_all_listeners_are_weak_the_owner_is_asked_for_less_and_later_for_more() -> None:
    """A step down every two seconds, a step up after every five of health; nobody else is told."""
    hall = Hall()
    _, track = hall.speaker("ada")
    bob, cy = hall.join("bob"), hall.join("cy")
    bob.set_weak(True, hall.now)
    hall.talk(track, seconds=3)
    assert hall.people["ada"].of(BitrateRequested) == []
    cy.set_weak(True, hall.now)
    hall.talk(track, seconds=1)
    assert [event.bitrate_bps for event in hall.people["ada"].of(BitrateRequested)] == [24_000]
    hall.talk(track, seconds=9)
    assert [event.bitrate_bps for event in hall.people["ada"].of(BitrateRequested)] == [24_000, 16_000, 12_000]
    bob.set_weak(False, hall.now)
    hall.talk(track, seconds=9)
    assert len(hall.people["ada"].of(BitrateRequested)) == 3
    cy.set_weak(False, hall.now)
    hall.talk(track, seconds=4.8)
    assert len(hall.people["ada"].of(BitrateRequested)) == 3
    hall.talk(track, seconds=20)
    assert [event.bitrate_bps for event in hall.people["ada"].of(BitrateRequested)][3:] == [16_000, 24_000, 32_000]
    assert hall.people["bob"].of(BitrateRequested) == []


def test_speakers_are_told_when_the_set_changes_only() -> None:
    """One event when somebody begins, one when they end, unlogged."""
    hall = Hall()
    seat, track = hall.speaker("ada")
    hall.join("bob")
    before = hall.room.last_event_id
    hall.talk(track, seconds=5)
    hall.wait(3)
    told = [event.speakers for event in hall.people["bob"].of(SpeakersChanged)]
    assert told == [((seat.participant_id, 20),), ()]
    assert hall.room.last_event_id == before


def test_a_muted_speaker_stops_speaking_at_the_next_update() -> None:
    """No lingering ring around somebody who cannot be heard."""
    hall = Hall()
    seat, track = hall.speaker("ada")
    hall.talk(track, seconds=1)
    assert hall.room.view(None).speakers == (seat.participant_id,)
    seat.mute(True, hall.now)
    hall.talk(track, seconds=0.12)
    assert hall.room.view(None).speakers == ()


def test_a_speaker_who_leaves_is_in_no_view() -> None:
    """Even before the speakers are updated."""
    hall = Hall()
    seat, track = hall.speaker("ada")
    hall.join("bob")
    hall.talk(track, seconds=1)
    seat.leave(hall.now)
    assert hall.room.view(None).speakers == ()
    hall.wait(0.2)
    assert [event.speakers for event in hall.people["bob"].of(SpeakersChanged)][-1] == ()


def test_music_counts_as_active_without_a_voice_bit() -> None:
    """A radio in a room of limited speakers is heard."""
    hall = Hall(speakers_limit=1)
    hall.speaker("ada")
    dj = hall.join("dj")
    radio = dj.open_track("opus", hall.now, content="music")
    seat = hall.join("bob")
    assert radio.id not in seat.heard
    hall.talk(radio, seconds=1, voice=False)
    assert set(seat.heard) == {radio.id}


def test_another_track_of_somebody_who_is_heard_is_heard_too() -> None:
    """The limit counts participants: the last one within it may bring more tracks, the next one none."""
    hall = Hall(speakers_limit=2)
    hall.speaker("ada")
    bob, _ = hall.speaker("bob")
    cy, _ = hall.speaker("cy")
    seat = hall.join("eve")
    more = bob.open_track("opus", hall.now)
    beyond = cy.open_track("opus", hall.now)
    assert more.id in seat.heard
    assert beyond.id not in seat.heard
