"""Who is in the room: joining, replacing, leaving, closing, expiring, and what a view shows."""

from __future__ import annotations

import pytest

from roomtone.media.packet import Packet
from roomtone.room.errors import RoomError, RoomFull, SeatGone
from roomtone.room.events import (
    ParticipantJoined,
    ParticipantLeft,
    Removed,
    TrackClosed,
    TrackOpened,
)
from roomtone.room.grants import Grants
from tests.room.people import HIDDEN, Hall


def test_others_are_told_of_a_join_and_the_joiner_reads_the_view() -> None:
    """A joiner hears nothing of its own joining, and finds everybody in its view."""
    hall = Hall(metadata="about tea")
    first = hall.join("ada", name="Ada", metadata="m", attributes=(("role", "host"),))
    second = hall.join("bob")
    assert [event.participant.identity for event in hall.people["ada"].of(ParticipantJoined)] == ["bob"]
    assert hall.people["bob"].told == []
    view = hall.room.view(second)
    assert [participant.identity for participant in view.participants] == ["ada", "bob"]
    assert view.participants[0].attributes == (("role", "host"),)
    assert (view.metadata, view.last_event_id, view.name) == ("about tea", 2, "hall")
    assert first.participant_id != second.participant_id


def test_a_full_room_refuses_but_lets_the_same_identity_replace_itself() -> None:
    """Capacity counts people, so a replacement always finds its own place."""
    hall = Hall(capacity=2)
    hall.join("ada")
    hall.join("bob")
    with pytest.raises(RoomFull) as refused:
        hall.join("cy")
    assert refused.value.code == "limit_reached"
    assert refused.value.retryable
    hall.join("bob")
    assert len(hall.room) == 2


def test_the_newer_session_of_an_identity_wins() -> None:
    """The older one is told why as its last event, others see it leave and the newer one join."""
    hall = Hall()
    hall.join("ada")
    old_seat, track = hall.speaker("bob")
    old = hall.people["bob"]
    ada = hall.people["ada"]
    ada.told.clear()
    new_seat = hall.join("bob")
    assert isinstance(old.told[-1], Removed)
    assert old.told[-1].reason == "replaced"
    assert [type(event) for event in ada.told] == [TrackClosed, ParticipantLeft, ParticipantJoined]
    assert ada.of(ParticipantLeft)[0].reason == "replaced"
    assert old_seat.gone
    with pytest.raises(SeatGone):
        old_seat.mute(True, hall.now)
    hall.room.send("t", 1, hall.now)
    assert isinstance(old.told[-1], Removed)
    assert track.id not in new_seat.tracks


def test_leaving_is_idempotent_and_closes_the_tracks() -> None:
    """Tracks close before their owner leaves, once, and the leaver itself is told nothing."""
    hall = Hall()
    hall.join("ada")
    seat, track = hall.speaker("bob")
    hall.people["bob"].told.clear()
    hall.people["ada"].told.clear()
    seat.leave(hall.now, "draining")
    seat.leave(hall.now)
    told = hall.people["ada"].told
    assert [type(event) for event in told] == [TrackClosed, ParticipantLeft]
    assert hall.people["ada"].of(ParticipantLeft)[0].reason == "draining"
    assert hall.people["ada"].of(TrackClosed)[0].track == track.id
    assert hall.people["bob"].told == []
    assert seat.tracks == {}


def test_every_command_of_a_gone_seat_raises() -> None:
    """Only leave is allowed once the seat is gone."""
    hall = Hall()
    hall.join("ada")
    seat, track = hall.speaker("bob")
    now = hall.now
    seat.leave(now)
    for command in (
        lambda: seat.open_track("opus", now),
        lambda: seat.close_track(track.id, now),
        lambda: seat.publish(Packet(track.id, 0, 0, b"x"), now),
        lambda: seat.mute(True, now),
        lambda: seat.subscribe("all", now),
        lambda: seat.set_state(now, name="x"),
        lambda: seat.send("t", 1, now),
        lambda: seat.moderate("mute", "ada", now),
        lambda: seat.flush(track.id, 1, now),
        lambda: seat.duck(track.id, -6, 50, now),
        lambda: seat.audio_end(track.id, now),
        lambda: seat.interrupt(None, now),
        lambda: seat.clock(track.id, 0, 0.0, now),
        lambda: seat.report_playout(track.id, 0, 0, 0, 0, now),
        lambda: seat.set_weak(True, now),
        lambda: seat.suspend(now),
        lambda: seat.resume(0, now),
    ):
        with pytest.raises(SeatGone):
            command()
    seat.leave(now)


def test_hidden_participants_are_seen_by_nobody_but_themselves() -> None:
    """No event and no view tells of them, while they see and hear everything."""
    hall = Hall()
    ada, track = hall.speaker("ada")
    ghost = hall.join("ghost", HIDDEN)
    hall.people["ada"].told.clear()
    ghost.set_state(hall.now, name="Casper")
    ghost.suspend(hall.now)
    missed = ghost.resume(0, hall.now)
    hall.say(track)
    ghost.leave(hall.now)
    assert hall.people["ada"].told == []
    assert missed is not None
    assert [event.participant.presence for event in missed] == ["joined", "reconnecting", "joined"]  # type: ignore[attr-defined]
    assert len(hall.people["ghost"].heard) == 1
    again = hall.join("ghost", HIDDEN)
    assert [participant.identity for participant in hall.room.view(ada).participants] == ["ada"]
    assert [participant.identity for participant in hall.room.view(None).participants] == ["ada"]
    assert [participant.identity for participant in hall.room.view(again).participants] == ["ada", "ghost"]
    assert [participant.identity for participant in hall.room.participants] == ["ada", "ghost"]


def test_hidden_participants_only_listen() -> None:
    """What would give them away is refused, or goes nowhere."""
    hall = Hall()
    _, track = hall.speaker("ada", kind="agent")
    ghost = hall.join("ghost", Grants(hidden=True, moderate=True))
    hall.say(track)
    hall.people["ada"].told.clear()
    for command in (
        lambda: ghost.open_track("opus", hall.now),
        lambda: ghost.send("t", 1, hall.now),
        lambda: ghost.interrupt(None, hall.now),
        lambda: ghost.moderate("promote", "ghost", hall.now),
    ):
        with pytest.raises(RoomError) as refused:
            command()
        assert refused.value.code == "not_permitted"
    ghost.report_playout(track.id, 0, 0, 0, 0, hall.now)
    assert hall.people["ada"].told == []
    with pytest.raises(RoomError) as refused:
        hall.join("mod", Grants(moderate=True)).moderate("remove", "ghost", hall.now)
    assert refused.value.code == "unknown_participant"


def test_closing_the_room_removes_everybody() -> None:
    """Removed("room_closed") is the last thing anybody hears, and nobody joins any more."""
    hall = Hall()
    seat, _ = hall.speaker("ada")
    suspended = hall.join("bob")
    suspended.suspend(hall.now)
    hall.room.close(hall.now)
    hall.room.close(hall.now)
    for person in hall.people.values():
        assert isinstance(person.told[-1], Removed)
        assert person.told[-1].reason == "room_closed"
        assert len(person.of(Removed)) == 1
    assert seat.gone
    assert hall.room.tracks == ()
    assert len(hall.room) == 0
    with pytest.raises(RoomError):
        hall.join("cy")


def test_an_empty_room_expires_and_one_with_somebody_does_not() -> None:
    """The clock starts at the opening and again whenever the last one leaves."""
    hall = Hall(empty_timeout_s=60)
    assert not hall.room.expired(59.9)
    assert hall.room.expired(60)
    assert hall.room.tick(0) == 60
    hall.now = 10
    seat = hall.join("ada")
    assert not hall.room.expired(1000)
    assert hall.room.tick(20) is None
    seat.leave(100)
    assert hall.room.tick(100) == 160
    assert not hall.room.expired(159)
    assert hall.room.expired(160)


def test_tracks_are_told_numbered_and_refused_beyond_the_limits() -> None:
    """A track's number is not soon given again; format, permission and number are checked."""
    hall = Hall(max_tracks_per_participant=2)
    seat, first = hall.speaker("ada")
    second = seat.open_track("pcm_16k", hall.now, frame_ms=10, content="music", name="piano", playout_interval_ms=100)
    with pytest.raises(RoomError) as refused:
        seat.open_track("opus", hall.now)
    assert refused.value.code == "limit_reached"
    seat.close_track(first.id, hall.now)
    third = seat.open_track("opus", hall.now)
    assert [first.id, second.id, third.id] == [0, 1, 2]
    assert [event.track.track for event in hall.people["ada"].of(TrackOpened)] == [0, 1, 2]
    view = hall.room.tracks[0]
    assert (view.codec, view.frame_ms, view.content, view.name, view.playout_interval_ms) == (
        "pcm_16k",
        10,
        "music",
        "piano",
        100,
    )
    with pytest.raises(RoomError) as refused:
        seat.close_track(first.id, hall.now)
    assert refused.value.code == "unknown_track"


def test_track_numbers_go_round_and_step_over_those_in_use() -> None:
    """After 65,535 comes the lowest number that is free."""
    hall = Hall()
    seat, kept = hall.speaker("ada")
    last = kept.id
    for _ in range(65_536):
        track = seat.open_track("opus", hall.now)
        assert track.id != kept.id
        last = track.id
        seat.close_track(track.id, hall.now)
    assert last == 1


@pytest.mark.parametrize(
    ("codec", "changes", "code"),
    [
        ("mp3", {}, "invalid"),
        ("opus", {"channels": 3}, "invalid"),
        ("opus", {"frame_ms": 61}, "invalid"),
        ("opus", {"frame_ms": 2}, "invalid"),
        ("opus", {"frame_ms": float("nan")}, "invalid"),
        ("opus", {"content": "noise"}, "invalid"),
        ("opus", {"playout_interval_ms": -1}, "invalid"),
        ("pcm_48k", {}, "limit_reached"),
    ],
)
def test_a_format_that_cannot_be_is_refused_and_changes_nothing(
    codec: str, changes: dict[str, object], code: str
) -> None:
    """The refusal says which value is off; no track is left over."""
    hall = Hall()
    seat = hall.join("ada")
    with pytest.raises(RoomError) as refused:
        seat.open_track(codec, hall.now, **changes)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert hall.room.tracks == ()
    assert seat.tracks == {}
    assert hall.room.tick(hall.now + 1) is None


def test_an_agent_is_shown_as_an_agent_and_a_participant_can_be_looked_up() -> None:
    """The agent grant sets the kind; lookup by identity finds it or nothing."""
    hall = Hall()
    hall.join("bot", Grants(agent=True))
    found = hall.room.participant("bot")
    assert found is not None
    assert found.kind == "agent"
    assert hall.room.participant("nobody") is None


@pytest.mark.parametrize("option", ["capacity", "max_tracks_per_participant", "event_log_size", "max_bitrate_bps"])
def test_options_that_no_room_can_work_with_are_refused(option: str) -> None:
    """Zero is the caller's mistake, not a way to say unlimited."""
    with pytest.raises(ValueError, match=option):
        Hall(**{option: 0})
    with pytest.raises(ValueError, match="speakers_limit"):
        Hall(speakers_limit=0)


def test_a_room_without_people_is_still_true() -> None:
    """`if room:` asks whether there is one, not whether it is full."""
    hall = Hall()
    assert hall.room
    assert len(hall.room) == 0
