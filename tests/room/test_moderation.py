"""Mutes by oneself and by moderators, roles on a stage, removals."""

from __future__ import annotations

import pytest

from roomtone.room.errors import RoomError
from roomtone.room.events import ParticipantLeft, ParticipantUpdated, Removed, TrackUpdated
from roomtone.room.grants import Grants
from roomtone.room.moderation import MAX_DECISIONS, Decisions
from tests.room.people import AUDIENCE, MODERATOR, Hall


def test_a_moderators_mute_cannot_be_undone_by_oneself() -> None:
    """Both mutes have to be lifted, each by its own side."""
    hall = Hall()
    moderator = hall.join("mod", MODERATOR)
    seat, track = hall.speaker("ada")
    moderator.moderate("mute", "ada", hall.now)
    seat.mute(False, hall.now)
    hall.say(track)
    assert hall.people["mod"].heard == []
    seat.mute(True, hall.now)
    moderator.moderate("unmute", "ada", hall.now)
    hall.say(track)
    assert hall.people["mod"].heard == []
    seat.mute(False, hall.now)
    hall.say(track)
    assert hall.people["mod"].sequences() == [2]
    states = [(event.track.muted, event.track.muted_by_moderator) for event in hall.people["ada"].of(TrackUpdated)]
    assert states == [(False, True), (True, True), (True, False), (False, False)]


def test_a_moderators_mute_covers_later_tracks_and_a_rejoin() -> None:
    """Opening another track or coming back does not help."""
    hall = Hall()
    moderator = hall.join("mod", MODERATOR)
    seat = hall.join("ada")
    moderator.moderate("mute", "ada", hall.now)
    track = seat.open_track("opus", hall.now)
    assert track.view().muted_by_moderator
    seat.leave(hall.now)
    _, again = hall.speaker("ada")
    hall.say(again)
    assert hall.people["mod"].heard == []
    moderator.moderate("unmute", "ada", hall.now)
    hall.say(again)
    assert hall.people["mod"].sequences() == [1]


def test_closing_a_muted_track_hands_the_mute_to_the_next_one() -> None:
    """A single track's mute is not lost by closing and opening; a general unmute lifts it."""
    hall = Hall()
    moderator = hall.join("mod", MODERATOR)
    seat, track = hall.speaker("ada")
    other = seat.open_track("opus", hall.now)
    moderator.moderate("mute", "ada", hall.now, track.id)
    assert not other.view().muted_by_moderator
    seat.close_track(track.id, hall.now)
    assert seat.open_track("opus", hall.now).view().muted_by_moderator
    assert not seat.open_track("opus", hall.now).view().muted_by_moderator
    moderator.moderate("unmute", "ada", hall.now)
    assert not any(view.muted_by_moderator for view in hall.room.tracks)


def test_muting_one_track_leaves_the_others() -> None:
    """By oneself, and by the server."""
    hall = Hall()
    seat, voice = hall.speaker("ada")
    music = seat.open_track("opus", hall.now)
    hall.join("bob")
    seat.mute(True, hall.now, voice.id)
    hall.say(voice)
    hall.say(music)
    hall.room.mute("ada", True, hall.now, music.id)
    hall.say(music)
    assert [packet.track for packet in hall.people["bob"].heard] == [music.id]


def test_muting_twice_tells_once() -> None:
    """No change, no event."""
    hall = Hall()
    seat, _ = hall.speaker("ada")
    seat.mute(True, hall.now)
    seat.mute(True, hall.now)
    assert len(hall.people["ada"].of(TrackUpdated)) == 1


def test_on_a_stage_newcomers_listen_until_they_are_promoted() -> None:
    """A raised hand, a promotion, speech, a demotion that silences at once; tracks stay open."""
    hall = Hall(stage=True)
    moderator = hall.join("mod", MODERATOR)
    assert moderator.role == "speaker"
    seat = hall.join("ada")
    with pytest.raises(RoomError) as refused:
        seat.open_track("opus", hall.now)
    assert refused.value.code == "not_permitted"
    seat.set_state(hall.now, hand_raised=True)
    moderator.moderate("promote", "ada", hall.now)
    track = seat.open_track("opus", hall.now)
    hall.say(track)
    moderator.moderate("demote", "ada", hall.now)
    hall.say(track)
    moderator.moderate("promote", "ada", hall.now)
    hall.say(track)
    assert hall.people["mod"].sequences() == [0, 2]
    assert hall.people["mod"].marked() == [2]
    seen = [
        (event.participant.role, event.participant.hand_raised) for event in hall.people["mod"].of(ParticipantUpdated)
    ]
    assert seen == [("listener", True), ("speaker", False), ("listener", False), ("speaker", False)]
    assert hall.room.statistics.packets_dropped == {"not_permitted": 1}


def test_roles_that_moderators_gave_outlive_a_rejoin() -> None:
    """A promoted speaker reloads the page and goes on; a demoted one does not escape."""
    hall = Hall(stage=True)
    hall.join("ada")
    hall.room.promote("ada", hall.now)
    assert hall.join("ada").role == "speaker"
    hall.room.demote("ada", hall.now)
    assert hall.join("ada").role == "listener"


def test_a_promotion_cannot_give_what_the_token_does_not() -> None:
    """Without the publish grant there is no speaking."""
    hall = Hall()
    hall.join("ada", AUDIENCE)
    with pytest.raises(RoomError) as refused:
        hall.room.promote("ada", hall.now)
    assert refused.value.code == "not_permitted"


def test_promoting_a_speaker_tells_nothing() -> None:
    """No change, no event."""
    hall = Hall()
    hall.join("ada")
    before = hall.room.last_event_id
    hall.room.promote("ada", hall.now)
    assert hall.room.last_event_id == before


def test_a_removed_participant_is_told_last_and_others_why() -> None:
    """From the stage, by a moderator and by the server."""
    hall = Hall()
    moderator = hall.join("mod", MODERATOR)
    seat, _ = hall.speaker("ada")
    hall.join("bob")
    moderator.moderate("remove", "ada", hall.now)
    hall.room.remove("bob", hall.now)
    assert seat.gone
    assert [event.reason for event in hall.people["mod"].of(ParticipantLeft)] == ["removed", "removed"]
    for name in ("ada", "bob"):
        assert isinstance(hall.people[name].told[-1], Removed)


@pytest.mark.parametrize("action", ["mute", "unmute", "promote", "demote", "remove"])
def test_moderating_needs_the_grant_and_somebody_to_moderate(action: str) -> None:
    """Everybody else is refused, and so is a moderator who names nobody."""
    hall = Hall()
    hall.join("ada")
    bob = hall.join("bob", Grants())
    moderator = hall.join("mod", MODERATOR)
    with pytest.raises(RoomError) as refused:
        bob.moderate(action, "ada", hall.now)  # type: ignore[arg-type]
    assert refused.value.code == "not_permitted"
    with pytest.raises(RoomError) as refused:
        moderator.moderate(action, "nobody", hall.now)  # type: ignore[arg-type]
    assert refused.value.code == "unknown_participant"


def test_unknown_actions_and_tracks_of_others_are_refused() -> None:
    """A moderator's track has to be of the participant that was named."""
    hall = Hall()
    moderator = hall.join("mod", MODERATOR)
    hall.speaker("ada")
    _, other = hall.speaker("bob")
    with pytest.raises(RoomError) as refused:
        moderator.moderate("mute", "ada", hall.now, other.id)
    assert refused.value.code == "unknown_track"
    with pytest.raises(RoomError) as refused:
        moderator.moderate("ban", "ada", hall.now)  # type: ignore[arg-type]
    assert refused.value.code == "invalid"


def test_decisions_are_bounded() -> None:
    """A room that stands for months does not remember every guest for ever: the oldest decision goes first."""
    decisions = Decisions()
    for number in range(MAX_DECISIONS + 10):
        decisions.set_muted(f"guest {number}", True)
        decisions.set_role(f"guest {number}", "speaker")
    decisions.set_muted("guest 20", False)
    decisions.set_muted("guest 10", True)  # decided again: among the newest now
    decisions.set_muted("newcomer", True)
    decisions.set_muted("another", True)
    assert len(decisions._muted) <= MAX_DECISIONS
    assert len(decisions._roles) <= MAX_DECISIONS
    assert "guest 10" in decisions._muted
    assert "guest 11" not in decisions._muted
    assert "guest 20" not in decisions._muted
