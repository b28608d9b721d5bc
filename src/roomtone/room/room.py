"""A synchronous switch of encoded packets between participants. It never decodes and never awaits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from roomtone.room import moderation
from roomtone.room.bulletin import Bulletin
from roomtone.room.errors import RoomError, RoomFull
from roomtone.room.events import (
    LeaveReason,
    MessageSent,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantView,
    Removed,
    RoomEvent,
    RoomView,
    SpeakersChanged,
    TrackClosed,
    TrackOpened,
    TrackView,
)
from roomtone.room.forwarding import Forwarding
from roomtone.room.grants import Grants
from roomtone.room.options import RoomOptions
from roomtone.room.participant import Participant
from roomtone.room.seat import ALL_CODECS, Profile, Seat
from roomtone.room.speakers import ActiveSpeakers
from roomtone.room.statistics import RoomStatistics
from roomtone.room.track import Spread, Track
from roomtone.room.track_format import TrackFormat
from roomtone.room.track_table import TrackTable


class Room:
    """Who is here, who hears whom, and what was told.

    ids: `ids("p")` gives a participant id that was never given before. spread: takes over the delivery of
    tracks with more than `options.spread_above` listeners. `now` is monotonic seconds, everywhere.
    """

    def __init__(
        self,
        name: str,
        options: RoomOptions,
        *,
        ids: Callable[[str], str],
        now: float,
        spread: Spread | None = None,
    ) -> None:
        self.name = name
        self.options = options
        self.created_at = now
        self.closed = False
        self.decisions = moderation.Decisions()
        self._ids = ids
        self._seats: dict[str, Seat] = {}
        self._by_identity: dict[str, Seat] = {}
        self._suspended: dict[Seat, None] = {}
        self._weak: set[Seat] = set()
        self.bulletin = Bulletin(self._seats, self._by_identity, options.event_log_size)
        self._speakers = ActiveSpeakers()
        self.track_table = TrackTable(options, self._speakers, spread)
        self._behind_on_speakers: set[Seat] = set()
        self._empty_since: float | None = now
        self.forwarding = Forwarding(self._seats, self._speakers, options.speakers_limit)

    # --- coming and going -----------------------------------------------------------------------------------

    def join(
        self,
        participant: Participant,
        identity: str,
        grants: Grants,
        now: float,
        *,
        name: str = "",
        kind: str = "person",
        metadata: str = "",
        attributes: Iterable[tuple[str, str]] = (),
        codecs: frozenset[str] = ALL_CODECS,
    ) -> Seat:
        """A seat for `participant`; whoever sits there under the same identity is replaced and told so.

        The joiner is not told of its own joining: it begins from `view(seat)`. codecs: names of what it can
        decode; it gets no audio of other tracks. Raises RoomFull, RoomError invalid when the room is closed.
        """
        if self.closed:
            raise RoomError("invalid", f"the room {self.name!r} is closed", retryable=True)
        older = self._by_identity.get(identity)
        if older is None and len(self._seats) >= self.options.capacity:
            raise RoomFull(f"the room {self.name!r} has its {self.options.capacity} participants")
        if older is not None:
            self.unseat(older, "replaced", now, tell=True)
        profile = Profile(name=name, kind=kind, metadata=metadata, attributes=tuple(attributes), codecs=codecs)
        seat = Seat(self, participant, self._ids("p"), identity, grants, profile)
        self.decisions.apply(seat, stage=self.options.stage)
        self._seats[seat.participant_id] = seat
        self._by_identity[identity] = seat
        self._empty_since = None
        if not grants.hidden:
            self.bulletin.tell(ParticipantJoined(participant=seat.view()), now, without=seat)
        seat.joined_event_id = self.bulletin.last_event_id
        self.forwarding.refresh(seat)
        return seat

    def unseat(self, seat: Seat, reason: LeaveReason, now: float, *, tell: bool = False) -> None:
        """End a seat and all its tracks. tell: the participant itself too, with Removed, its last event."""
        self._forget(seat)
        if tell:
            seat.notify(Removed(reason=reason), now)
        for track in list(seat.tracks.values()):
            self.close_track(track, now)
        if not seat.grants.hidden:
            left = ParticipantLeft(participant_id=seat.participant_id, identity=seat.identity, reason=reason)
            self.bulletin.tell(left, now)
        if not self._seats:
            self._empty_since = now

    def _forget(self, seat: Seat) -> None:
        del self._seats[seat.participant_id]
        del self._by_identity[seat.identity]
        self._suspended.pop(seat, None)
        self._behind_on_speakers.discard(seat)
        self._weak.discard(seat)
        seat.gone = True
        self.forwarding.refresh(seat)

    def set_weak(self, seat: Seat, weak: bool) -> None:
        """For seats: give it fewer speakers, or all again."""
        seat.weak = weak
        if weak:
            self._weak.add(seat)
        else:
            self._weak.discard(seat)
        self.forwarding.refresh(seat)

    def suspend(self, seat: Seat, now: float) -> None:
        """For seats: keep the place of a lost connection for the grace window."""
        seat.suspended_until = now + self.options.reconnect_grace_s
        self._suspended[seat] = None
        self.set_weak(seat, False)
        seat.changed(now)

    def resume(self, seat: Seat, last_event_id: int, now: float) -> list[RoomEvent] | None:
        """For seats: the missed events, the one of its own return included, before anything else is told."""
        returns = seat in self._suspended
        if returns:
            del self._suspended[seat]
            seat.suspended_until = None
            seat.changed(now, later=seat)
        missed = self.bulletin.missed(seat, last_event_id)
        if returns:
            self.forwarding.refresh(seat)
            self._behind_on_speakers.add(seat)
        return missed

    def close(self, now: float) -> None:
        """Everybody gets Removed("room_closed") as their last event. Nothing when it is closed already."""
        self.closed = True
        seats = list(self._seats.values())
        for seat in seats:
            self._forget(seat)
        for track in list(self.track_table):
            self.track_table.close(track)
        for seat in seats:
            seat.notify(Removed(reason="room_closed"), now)
        self._empty_since = now if self._empty_since is None else self._empty_since

    def expired(self, now: float) -> bool:
        """Nobody has been in the room for `empty_timeout_s`; hidden and reconnecting participants count."""
        return self._empty_since is not None and now - self._empty_since >= self.options.empty_timeout_s

    # --- tracks ---------------------------------------------------------------------------------------------

    def open_track(self, seat: Seat, track_format: TrackFormat, now: float) -> Track:
        """For seats, which have checked the permission. Raises RoomError limit_reached."""
        track = self.track_table.open(seat, track_format)
        moderation.track_opened(seat, track)
        self.forwarding.opened(track)
        self.bulletin.tell(TrackOpened(track=track.view()), now)
        return track

    def close_track(self, track: Track, now: float) -> None:
        """For seats."""
        moderation.track_closed(track.seat, track)
        self.track_table.close(track)
        self.forwarding.closed(track)
        self.bulletin.tell(TrackClosed(track=track.id, participant_id=track.seat.participant_id), now)

    # --- messages -------------------------------------------------------------------------------------------

    def send_from(self, seat: Seat | None, topic: str, data: Any, now: float, to: tuple[str, ...] | None) -> None:
        """For seats and `send`: a data message, logged and told to whom it is for."""
        if to is not None and not any(self._is_seen(identity, seat) for identity in to):
            raise RoomError("unknown_participant", "nobody of those identities is here", retryable=True)
        event = MessageSent(
            sender="" if seat is None else seat.identity,
            participant_id="" if seat is None else seat.participant_id,
            topic=topic,
            data=data,
            to=to,
        )
        if to is None:
            self.bulletin.tell(event, now, without=seat)
        else:
            self.bulletin.tell(event, now, audience=frozenset(to))

    def _is_seen(self, identity: str, by: Seat | None) -> bool:
        seat = self._by_identity.get(identity)
        return seat is not None and (by is None or seat is by or not seat.grants.hidden)

    # --- time -----------------------------------------------------------------------------------------------

    def tick(self, now: float) -> float | None:
        """Speakers, lost connections, bitrates. When to call again; None if there is nothing to wait for."""
        for seat in [seat for seat in self._suspended if _due(seat.suspended_until, now)]:
            self.unseat(seat, "timed_out", now, tell=True)
        ranking = self._speakers.ranking
        changed = self._speakers.update(now)
        if self._speakers.ranking is not ranking:
            self.forwarding.reranked(ranking)
        if changed:
            self._tell_speakers(self._seats.values(), now)
        elif self._behind_on_speakers:
            self._tell_speakers(self._behind_on_speakers, now)
        self._behind_on_speakers.clear()
        self.track_table.judge_bitrates(now, anybody_weak=bool(self._weak))
        return self._deadline(now)

    def _deadline(self, now: float) -> float | None:
        deadlines = [seat.suspended_until for seat in self._suspended]
        deadlines.append(self._speakers.next_update())
        if self._empty_since is not None and not self.closed:
            deadlines.append(self._empty_since + self.options.empty_timeout_s)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _tell_speakers(self, seats: Iterable[Seat], now: float) -> None:
        self.bulletin.tell_unlogged(SpeakersChanged(speakers=self._speakers.speaking()), seats, now)

    # --- looking --------------------------------------------------------------------------------------------

    def view(self, seat: Seat | None) -> RoomView:
        """The room as `seat` sees it: hidden participants are left out, but for oneself."""
        return RoomView(
            name=self.name,
            last_event_id=self.bulletin.last_event_id,
            metadata=self.options.metadata,
            participants=tuple(
                other.view() for other in self._seats.values() if other is seat or not other.grants.hidden
            ),
            tracks=tuple(track.view() for track in self.track_table),
            speakers=tuple(
                participant_id for participant_id, _ in self._speakers.speaking() if participant_id in self._seats
            ),
        )

    def seats(self) -> Iterator[Seat]:
        """All seats, hidden and reconnecting ones included, in the order of their joining."""
        return iter(self._seats.values())

    def find(self, identity: str, *, seen_by: Seat | None = None) -> Seat:
        """Raises RoomError unknown_participant, for hidden ones too unless seen_by is None or themselves."""
        if not self._is_seen(identity, seen_by):
            raise RoomError("unknown_participant", f"{identity!r} is not in the room")
        return self._by_identity[identity]

    def participant(self, identity: str) -> ParticipantView | None:
        """Hidden ones included: for the server, not for participants."""
        seat = self._by_identity.get(identity)
        return None if seat is None else seat.view()

    @property
    def participants(self) -> tuple[ParticipantView, ...]:
        """Hidden ones included: for the server, not for participants."""
        return tuple(seat.view() for seat in self._seats.values())

    @property
    def tracks(self) -> tuple[TrackView, ...]:
        return tuple(track.view() for track in self.track_table)

    def __len__(self) -> int:
        return len(self._seats)

    def __bool__(self) -> bool:
        """A room without participants is a room too."""
        return True

    @property
    def last_event_id(self) -> int:
        return self.bulletin.last_event_id

    @property
    def statistics(self) -> RoomStatistics:
        """Summed up at the asking: nothing is counted twice on the way of a packet."""
        return RoomStatistics(
            participants=len(self._seats),
            tracks=len(self.track_table),
            packets_in=self.track_table.packets_in(),
            packets_delivered=self.track_table.packets_delivered(),
            packets_dropped=self.track_table.packets_dropped(),
        )

    # --- the server's commands, which no seat gives ---------------------------------------------------------

    def mute(self, identity: str, muted: bool, now: float, track: int | None = None) -> None:
        """As a moderator. Raises RoomError unknown_participant, unknown_track."""
        moderation.mute(self, self.find(identity), muted, now, track)

    def promote(self, identity: str, now: float) -> None:
        """Let a listener speak. Raises RoomError unknown_participant, not_permitted."""
        moderation.set_role(self, self.find(identity), "speaker", now)

    def demote(self, identity: str, now: float) -> None:
        """Make a speaker a listener. Raises RoomError unknown_participant."""
        moderation.set_role(self, self.find(identity), "listener", now)

    def remove(self, identity: str, now: float) -> None:
        """Raises RoomError unknown_participant."""
        self.unseat(self.find(identity), "removed", now, tell=True)

    def send(self, topic: str, data: Any, now: float, to: Iterable[str] | None = None) -> None:
        """A data message from the server. Raises RoomError unknown_participant if nobody in `to` is here."""
        self.send_from(None, topic, data, now, None if to is None else tuple(to))


def _due(deadline: float | None, now: float) -> bool:
    return deadline is not None and deadline <= now
