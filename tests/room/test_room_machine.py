"""Random commands, packets and time against a room; after each step what must always hold is checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from roomtone.media.packet import Packet
from roomtone.room.errors import RoomError
from roomtone.room.events import (
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
    ParticipantView,
    Removed,
    RoomEvent,
    RoomView,
    TrackClosed,
    TrackOpened,
    TrackUpdated,
    TrackView,
)
from roomtone.room.grants import Grants
from roomtone.room.options import RoomOptions
from roomtone.room.room import Room
from roomtone.room.seat import Seat
from roomtone.room.track import Deliver

IDENTITIES = ("ada", "bob", "cy", "dan", "eve")
CODECS = (frozenset({"opus"}), frozenset({"opus", "pcmu"}), frozenset({"pcmu"}))
GRANTS = (
    Grants(),
    Grants(moderate=True),
    Grants(publish=False),
    Grants(subscribe=False),
    Grants(hidden=True),
    Grants(agent=True),
)


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(RoomError) as error:
        yield
    assert error.value.code == code


@contextmanager
def maybe_refused(*codes: str) -> Iterator[None]:
    try:
        yield
    except RoomError as error:
        if error.code not in codes:
            raise


@dataclass
class Mirror:
    """A client's picture of the room: a snapshot, and every event it was told since."""

    participants: dict[str, ParticipantView] = field(default_factory=dict)
    tracks: dict[int, TrackView] = field(default_factory=dict)
    last_event_id: int = 0

    def start(self, view: RoomView) -> None:
        self.participants = {participant.participant_id: participant for participant in view.participants}
        self.tracks = {track.track: track for track in view.tracks}
        self.last_event_id = view.last_event_id

    def apply(self, event: RoomEvent) -> None:
        if event.event_id:
            assert event.event_id > self.last_event_id, "told twice, or out of order"
            self.last_event_id = event.event_id
        match event:
            case ParticipantJoined(participant=participant):
                assert participant.participant_id not in self.participants
                self.participants[participant.participant_id] = participant
            case ParticipantUpdated(participant=participant):
                assert participant.participant_id in self.participants
                self.participants[participant.participant_id] = participant
            case ParticipantLeft(participant_id=participant_id):
                del self.participants[participant_id]
            case TrackOpened(track=track):
                assert track.track not in self.tracks
                self.tracks[track.track] = track
            case TrackUpdated(track=track):
                assert track.track in self.tracks
                self.tracks[track.track] = track
            case TrackClosed(track=track_id):
                del self.tracks[track_id]
            case _:
                pass


class Sitter:
    """A participant that checks every call it gets."""

    def __init__(self) -> None:
        self.seat: Seat | None = None
        self.mirror = Mirror()
        self.connected = True
        self.gone = False
        self.heard: list[Packet] = []

    def deliver(self, packet: Packet, now: float) -> None:
        assert self.connected, "audio for a suspended seat"
        assert not self.gone, "audio for a gone seat"
        assert self.seat is not None
        assert packet.track not in self.seat.tracks, "somebody hears itself"
        self.heard.append(packet)

    def notify(self, event: RoomEvent, now: float) -> None:
        assert not self.gone, "an event after Removed"
        if isinstance(event, Removed):
            self.gone = True
            return
        assert self.connected, "an event for a suspended seat"
        self.mirror.apply(event)


class RoomMachine(RuleBasedStateMachine):
    """Everything the room offers, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.sitters: dict[str, Sitter] = {}
        self.sequence = 0

    @initialize(stage=st.booleans(), limit=st.sampled_from([None, 1, 2]), spread=st.booleans())
    def open(self, stage: bool, limit: int | None, spread: bool) -> None:
        numbers = count(1)

        def spreader(packet: Packet, listeners: tuple[Deliver, ...], now: float) -> None:
            for deliver in listeners:
                deliver(packet, now)

        self.room = Room(
            "hall",
            RoomOptions(capacity=4, stage=stage, speakers_limit=limit, spread_above=1, event_log_size=12),
            ids=lambda prefix: f"{prefix}{next(numbers)}",
            now=self.now,
            spread=spreader if spread else None,
        )

    def seat(self, identity: str) -> Seat | None:
        sitter = self.sitters.get(identity)
        return None if sitter is None or sitter.seat is None or sitter.seat.gone else sitter.seat

    @rule(identity=st.sampled_from(IDENTITIES), grants=st.sampled_from(GRANTS), codecs=st.sampled_from(CODECS))
    def join(self, identity: str, grants: Grants, codecs: frozenset[str]) -> None:
        old = self.sitters.get(identity)
        sitter = Sitter()
        if old is None or old.seat is None or old.seat.gone:
            old = None
            if len(self.room) == 4:
                with refused("limit_reached"):
                    self.room.join(sitter, identity, grants, self.now, codecs=codecs)
                return
        seat = self.room.join(sitter, identity, grants, self.now, codecs=codecs)
        assert old is None or old.gone
        sitter.seat = seat
        sitter.mirror.start(self.room.view(seat))
        self.sitters[identity] = sitter

    @rule(identity=st.sampled_from(IDENTITIES), codec=st.sampled_from(["opus", "pcmu"]))
    def open_track(self, identity: str, codec: str) -> None:
        seat = self.seat(identity)
        if seat is None or len(seat.tracks) >= 3:
            return
        if seat.role == "listener":
            with refused("not_permitted"):
                seat.open_track(codec, self.now)
        else:
            seat.open_track(codec, self.now)

    @rule(identity=st.sampled_from(IDENTITIES), index=st.integers(0, 2))
    def close_track(self, identity: str, index: int) -> None:
        seat = self.seat(identity)
        if seat is not None and index < len(seat.tracks):
            seat.close_track(list(seat.tracks)[index], self.now)

    @rule(identity=st.sampled_from(IDENTITIES), index=st.integers(0, 2), level=st.sampled_from([10, 30, 127]))
    def talk(self, identity: str, index: int, level: int) -> None:
        seat = self.seat(identity)
        if seat is None or index >= len(seat.tracks):
            return
        track = list(seat.tracks.values())[index]
        before = {name: len(sitter.heard) for name, sitter in self.sitters.items()}
        view = track.view()
        silent = view.muted or view.muted_by_moderator or seat.role != "speaker" or not seat.active
        self.sequence = (self.sequence + 1) & 0xFFFF
        packet = Packet(
            track.id, self.sequence, self.sequence * 960, b"x" * 40, codec=track.codec, level=level, voice=True
        )
        seat.publish(packet, self.now)
        for name, sitter in self.sitters.items():
            new = sitter.heard[before[name] :]
            listener = sitter.seat
            if listener is None or listener.gone or name == identity:
                assert new == []
                continue
            assert len(new) <= 1
            if silent or not listener.grants.subscribe or view.codec not in listener.codecs:
                assert new == []
            else:
                assert len(new) == (track.id in listener.heard)
            if new:
                assert new[0] in (packet, packet.discontinuous)

    @rule(identity=st.sampled_from(IDENTITIES), muted=st.booleans(), by_server=st.booleans())
    def mute(self, identity: str, muted: bool, by_server: bool) -> None:
        seat = self.seat(identity)
        if seat is None:
            return
        if by_server:
            self.room.mute(identity, muted, self.now)
        else:
            seat.mute(muted, self.now)

    @rule(
        identity=st.sampled_from(IDENTITIES),
        whom=st.sampled_from(IDENTITIES),
        action=st.sampled_from(["mute", "unmute", "promote", "demote", "remove"]),
    )
    def moderate(self, identity: str, whom: str, action: str) -> None:
        seat = self.seat(identity)
        if seat is None:
            return
        with maybe_refused("not_permitted", "unknown_participant"):
            seat.moderate(action, whom, self.now)  # type: ignore[arg-type]

    @rule(
        identity=st.sampled_from(IDENTITIES),
        mode=st.sampled_from(["all", "speakers", "tracks"]),
        limit=st.integers(1, 3),
        tracks=st.sets(st.integers(0, 6)),
    )
    def subscribe(self, identity: str, mode: str, limit: int, tracks: set[int]) -> None:
        seat = self.seat(identity)
        if seat is not None:
            seat.subscribe(mode, self.now, limit=limit, tracks=tracks)  # type: ignore[arg-type]

    @rule(identity=st.sampled_from(IDENTITIES), weak=st.booleans())
    def set_weak(self, identity: str, weak: bool) -> None:
        seat = self.seat(identity)
        if seat is not None and seat.active:
            seat.set_weak(weak, self.now)

    @rule(identity=st.sampled_from(IDENTITIES), away=st.booleans(), hand=st.booleans())
    def set_state(self, identity: str, away: bool, hand: bool) -> None:
        seat = self.seat(identity)
        if seat is not None:
            seat.set_state(self.now, away=away, hand_raised=hand)

    @rule(identity=st.sampled_from(IDENTITIES), to=st.none() | st.sets(st.sampled_from(IDENTITIES), min_size=1))
    def send(self, identity: str, to: set[str] | None) -> None:
        seat = self.seat(identity)
        if seat is None:
            return
        with maybe_refused("not_permitted", "unknown_participant"):
            seat.send("t", 1, self.now, to=to)

    @rule(identity=st.sampled_from(IDENTITIES))
    def suspend(self, identity: str) -> None:
        seat = self.seat(identity)
        if seat is not None and seat.active:
            self.sitters[identity].connected = False
            seat.suspend(self.now)

    @rule(identity=st.sampled_from(IDENTITIES))
    def resume(self, identity: str) -> None:
        seat = self.seat(identity)
        if seat is None or seat.active:
            return
        sitter = self.sitters[identity]
        sitter.heard.clear()
        missed = seat.resume(sitter.mirror.last_event_id, self.now)
        sitter.connected = True
        if missed is None:
            sitter.mirror.start(self.room.view(seat))
        for event in missed or ():
            sitter.mirror.apply(event)

    @rule(identity=st.sampled_from(IDENTITIES))
    def leave(self, identity: str) -> None:
        seat = self.seat(identity)
        if seat is not None:
            seat.leave(self.now)

    @rule(seconds=st.sampled_from([0.02, 0.1, 0.3, 5, 31]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.room.tick(self.now)

    @precondition(lambda self: self.sitters)
    @rule()
    def close(self) -> None:
        self.room.close(self.now)
        for sitter in self.sitters.values():
            assert sitter.seat is None or sitter.seat.gone
        numbers = count(1000)
        self.sitters.clear()
        self.room = Room("hall", RoomOptions(capacity=4), ids=lambda prefix: f"{prefix}{next(numbers)}", now=self.now)

    @invariant()
    def every_picture_is_the_rooms(self) -> None:
        for sitter in self.sitters.values():
            seat = sitter.seat
            if seat is None or not seat.active:
                continue
            view = self.room.view(seat)
            assert tuple(sitter.mirror.participants.values()) == view.participants
            assert tuple(sitter.mirror.tracks.values()) == view.tracks

    @invariant()
    def nobody_hears_what_it_may_not(self) -> None:
        if not hasattr(self, "room"):
            return
        open_tracks = {view.track for view in self.room.tracks}
        for seat in self.room.seats():
            assert set(seat.heard) <= open_tracks
            assert not set(seat.heard) & set(seat.tracks)
            for track in seat.heard.values():
                assert seat in track.hearing
                assert seat.active
                assert seat.grants.subscribe
            owners = {track.seat for track in seat.heard.values()}
            chosen = seat.subscription.mode == "tracks"
            if seat.weak:
                assert len(owners) <= 1
            if self.room.options.speakers_limit is not None and not chosen:
                assert len(owners) <= self.room.options.speakers_limit
            if seat.subscription.mode == "speakers":
                assert len(owners) <= seat.subscription.limit

    @invariant()
    def what_is_heard_is_what_a_full_computation_gives(self) -> None:
        if not hasattr(self, "room"):
            return
        for seat in self.room.seats():
            before = dict(seat.heard)
            self.room.forwarding.refresh(seat)
            assert seat.heard == before

    @invariant()
    def the_numbers_of_logged_events_have_no_gaps(self) -> None:
        if not hasattr(self, "room"):
            return
        log = self.room.bulletin._log
        ids = [entry.event.event_id for entry in log._entries]
        assert ids == list(range(log.last_id - len(ids) + 1, log.last_id + 1))


RoomMachine.TestCase.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
TestRoomMachine = RoomMachine.TestCase
