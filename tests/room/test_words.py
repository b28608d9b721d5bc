"""What is not audio: state, data messages, interruptions, and what listeners report of their playout."""

from __future__ import annotations

import pytest

from roomtone.room.errors import RoomError
from roomtone.room.events import (
    InterruptRequested,
    MessageSent,
    ParticipantUpdated,
    PlayoutReported,
    RoomEvent,
    TrackClockTold,
)
from roomtone.room.grants import Grants
from roomtone.room.seat import MAX_ATTRIBUTES, Seat
from tests.room.people import Hall, Person, frame


def test_state_changes_are_merged_and_told_once() -> None:
    """What is not named stays, an empty attribute goes, and no change tells nothing."""
    hall = Hall()
    seat = hall.join("ada", name="Ada", attributes=(("a", "1"), ("b", "2")))
    seat.set_state(hall.now, attributes={"a": "", "c": "3"}, hand_raised=True)
    seat.set_state(hall.now, hand_raised=True)
    seat.set_state(hall.now, metadata="m", away=True)
    views = [event.participant for event in hall.people["ada"].of(ParticipantUpdated)]
    assert len(views) == 2
    assert views[1].attributes == (("b", "2"), ("c", "3"))
    assert (views[1].name, views[1].metadata, views[1].presence, views[1].hand_raised) == ("Ada", "m", "away", True)


def test_attributes_are_bounded_over_many_commands() -> None:
    """A refused change changes nothing at all."""
    hall = Hall()
    seat = hall.join("ada")
    seat.set_state(hall.now, attributes={str(number): "x" for number in range(MAX_ATTRIBUTES)})
    with pytest.raises(RoomError) as refused:
        seat.set_state(hall.now, name="new", attributes={"one more": "x"})
    assert refused.value.code == "limit_reached"
    assert seat.view().name == ""
    assert len(seat.view().attributes) == MAX_ATTRIBUTES


def test_messages_go_to_all_others_or_to_those_named() -> None:
    """The sender gets its own only where it names itself."""
    hall = Hall()
    ada = hall.join("ada")
    hall.join("bob")
    hall.join("cy")
    ada.send("chat", {"text": "hi"}, hall.now)
    ada.send("chat", "psst", hall.now, to=["bob", "ada", "nobody"])
    got = {name: [event.data for event in person.of(MessageSent)] for name, person in hall.people.items()}
    assert got == {"ada": ["psst"], "bob": [{"text": "hi"}, "psst"], "cy": [{"text": "hi"}]}
    event = hall.people["bob"].of(MessageSent)[0]
    assert (event.sender, event.participant_id, event.topic) == ("ada", ada.participant_id, "chat")


def test_the_server_sends_as_nobody() -> None:
    """Everybody gets it, with an empty sender."""
    hall = Hall()
    hall.join("ada")
    hall.room.send("notice", 1, hall.now)
    event = hall.people["ada"].of(MessageSent)[0]
    assert (event.sender, event.participant_id, event.data, event.to) == ("", "", 1, None)


def test_messages_that_reach_nobody_or_are_not_allowed_are_refused() -> None:
    """Hidden participants are nobody to others; the data grant is needed."""
    hall = Hall()
    ada = hall.join("ada")
    hall.join("ghost", Grants(hidden=True))
    mute = hall.join("mute", Grants(data=False))
    for to in (["nobody"], ["ghost"], []):
        with pytest.raises(RoomError) as refused:
            ada.send("t", 1, hall.now, to=to)
        assert refused.value.code == "unknown_participant"
    with pytest.raises(RoomError) as refused:
        mute.send("t", 1, hall.now)
    assert refused.value.code == "not_permitted"
    hall.room.send("t", 1, hall.now, to=["ghost"])
    assert len(hall.people["ghost"].of(MessageSent)) == 1


def test_an_interruption_asks_the_owner_or_all_agents() -> None:
    """Nobody else is told; an unknown track is refused."""
    hall = Hall()
    _, track = hall.speaker("ada")
    hall.join("bot", Grants(agent=True))
    hall.join("bob")
    seat = hall.join("cy")
    seat.interrupt(track.id, hall.now)
    seat.interrupt(None, hall.now)
    asked = {
        name: [(event.participant_id, event.track) for event in person.of(InterruptRequested)]
        for name, person in hall.people.items()
    }
    assert asked == {
        "ada": [(seat.participant_id, track.id)],
        "bot": [(seat.participant_id, None)],
        "bob": [],
        "cy": [],
    }
    with pytest.raises(RoomError) as refused:
        seat.interrupt(99, hall.now)
    assert refused.value.code == "unknown_track"


@pytest.mark.parametrize(
    ("last_sent", "reported", "told"),
    [
        (960 * 10, 960 * 3, 960 * 3),
        (960 * 10, 960 * 11, 960 * 11),
        (960 * 10, 960 * 12, 960 * 11),
        (960 * 10, 2**31, 960 * 11),
        (2**32 - 960, 0, 0),
        (2**32 - 960, 960, 0),
        (480, 2**32 - 480, 2**32 - 480),
        (480, 1441, 1440),
    ],
)
def test_playout_reaches_the_owner_alone_clamped_to_what_was_sent(last_sent: int, reported: int, told: int) -> None:
    """Nobody has heard what was not sent; timestamps lie on a circle."""
    hall = Hall()
    ada, track = hall.speaker("ada")
    seat = hall.join("bob")
    hall.join("cy")
    packet = frame(track, 0)
    packet.timestamp = last_sent
    ada.publish(packet, hall.now)
    seat.report_playout(track.id, reported, 12.5, 40.0, 2, hall.now)
    events = hall.people["ada"].of(PlayoutReported)
    assert [(event.participant_id, event.track, event.timestamp) for event in events] == [
        (seat.participant_id, track.id, told)
    ]
    assert (events[0].output_latency_ms, events[0].buffered_ms, events[0].underruns) == (12.5, 40.0, 2)
    assert hall.people["cy"].of(PlayoutReported) == []
    assert hall.people["bob"].of(PlayoutReported) == []


def test_playout_of_nothing_goes_nowhere_and_of_ones_own_track_is_refused() -> None:
    """Before the first packet there is nothing to hear; dropped packets were not sent."""
    hall = Hall()
    ada, track = hall.speaker("ada")
    seat = hall.join("bob")
    ada.mute(True, hall.now)
    hall.say(track)
    seat.report_playout(track.id, 0, 0, 0, 0, hall.now)
    assert hall.people["ada"].of(PlayoutReported) == []
    with pytest.raises(RoomError) as refused:
        ada.report_playout(track.id, 0, 0, 0, 0, hall.now)
    assert refused.value.code == "invalid"
    with pytest.raises(RoomError) as refused:
        seat.report_playout(99, 0, 0, 0, 0, hall.now)
    assert refused.value.code == "unknown_track"


class Breaking(Person):
    """Finds its connection broken in the middle of being told something."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.seat: Seat | None = None

    def notify(self, event: RoomEvent, now: float) -> None:
        super().notify(event, now)
        if self.seat is not None and self.seat.active:
            if self.how == "suspend":
                self.seat.suspend(now)
            else:
                self.seat.leave(now, "too_slow")


@pytest.mark.parametrize("how", ["suspend", "leave"])
def test_a_participant_that_breaks_while_it_is_told_disturbs_nobody(how: str) -> None:
    """All others are told of both, in the same order, and the room goes on."""
    hall = Hall()
    first, track = hall.speaker("first")
    broken = Breaking(how)
    seat = hall.room.join(broken, "broken", Grants(), hall.now)
    hall.join("last")
    hall.people["first"].told.clear()
    broken.seat = seat
    first.mute(True, hall.now)
    assert not seat.active
    kinds = {name: [type(event).__name__ for event in person.told] for name, person in hall.people.items()}
    after = "ParticipantUpdated" if how == "suspend" else "ParticipantLeft"
    assert kinds == {"first": ["TrackUpdated", after], "last": ["TrackUpdated", after]}
    ids = [event.event_id for event in hall.people["last"].told]
    assert ids == sorted(ids)
    first.mute(False, hall.now)
    hall.say(track)
    assert len(hall.people["last"].heard) == 1


def test_a_participant_that_leaves_while_it_is_told_of_its_own_track() -> None:
    """The track is gone with it, and nobody is left with a picture of it."""
    hall = Hall()
    listener = hall.join("ada")
    broken = Breaking("leave")
    broken.seat = hall.room.join(broken, "broken", Grants(), hall.now)
    broken.seat.open_track("opus", hall.now)
    assert hall.room.tracks == ()
    assert listener.heard == {}
    assert [type(event).__name__ for event in hall.people["ada"].told] == [
        "ParticipantJoined",
        "TrackOpened",
        "TrackClosed",
        "ParticipantLeft",
    ]


@pytest.mark.parametrize("how", ["suspend", "leave"])
def test_a_listener_that_breaks_at_a_clock_report_disturbs_nobody(how: str) -> None:
    """The others hear of it all the same."""
    hall = Hall()
    first, track = hall.speaker("first")
    broken = Breaking(how)
    seat = hall.room.join(broken, "broken", Grants(), hall.now)
    hall.join("last")
    broken.seat = seat
    first.clock(track.id, 0, 0.0, hall.now)
    assert not seat.active
    assert len(hall.people["last"].of(TrackClockTold)) == 1
