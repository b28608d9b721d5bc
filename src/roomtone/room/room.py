"""A synchronous switch of encoded packets between participants. It never decodes and never awaits."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final, Literal

from roomtone.room import moderation
from roomtone.room.errors import RoomError, RoomFull
from roomtone.room.event_log import EventLog
from roomtone.room.events import (
    LeaveReason,
    MessageSent,
    ParticipantJoined,
    ParticipantLeft,
    ParticipantUpdated,
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

TRACK_IDS: Final = 1 << 16


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
        self._spread = spread
        self._seats: dict[str, Seat] = {}
        self._by_identity: dict[str, Seat] = {}
        self._suspended: dict[Seat, None] = {}
        self._tracks: dict[int, Track] = {}
        self._next_track = 0
        self._log = EventLog(options.event_log_size)
        self._speakers = ActiveSpeakers()
        self._behind_on_speakers: set[Seat] = set()
        self._empty_since: float | None = now
        self._past = _Counters()
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
        profile = Profile(
            name=name, kind=kind, metadata=metadata, attributes=tuple(attributes), codecs=codecs
        )
        seat = Seat(self, participant, self._ids("p"), identity, grants, profile)
        self.decisions.apply(seat, stage=self.options.stage)
        self._seats[seat.participant_id] = seat
        self._by_identity[identity] = seat
        self._empty_since = None
        if not grants.hidden:
            self.tell(ParticipantJoined(participant=seat.view()), now, without=seat)
        seat.joined_event_id = self._log.last_id
        self.forwarding.refresh(seat)
        return seat

    def unseat(self, seat: Seat, reason: LeaveReason, now: float, *, tell: bool = False) -> None:
        """End a seat and all its tracks. tell: the participant itself too, with Removed, its last event."""
        self._forget(seat)
        if tell:
            seat.notify(Removed(reason=reason), now)
        tracks = list(seat.tracks.values())
        seat.tracks.clear()
        for track in tracks:
            self._end_track(track, now)
        if not seat.grants.hidden:
            left = ParticipantLeft(participant_id=seat.participant_id, identity=seat.identity, reason=reason)
            self.tell(left, now)
        if not self._seats:
            self._empty_since = now

    def _forget(self, seat: Seat) -> None:
        del self._seats[seat.participant_id]
        del self._by_identity[seat.identity]
        self._suspended.pop(seat, None)
        self._behind_on_speakers.discard(seat)
        seat.gone = True
        self.forwarding.refresh(seat)

    def suspend(self, seat: Seat, now: float) -> None:
        """For seats: keep the place of a lost connection for the grace window."""
        seat.suspended_until = now + self.options.reconnect_grace_s
        self._suspended[seat] = None
        self.forwarding.refresh(seat)
        seat.changed(now)

    def resume(self, seat: Seat, last_event_id: int, now: float) -> list[RoomEvent] | None:
        """For seats: the missed events, the one of its own return included, before anything else is told."""
        returns = seat in self._suspended
        if returns:
            del self._suspended[seat]
            seat.suspended_until = None
            seat.changed(now, later=seat)
        # What was told before it joined is not this participant's to hear.
        since = max(last_event_id, seat.joined_event_id)
        missed = self._log.since(since, seat.identity, seat.participant_id)
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
        for seat in seats:
            seat.notify(Removed(reason="room_closed"), now)
            seat.tracks.clear()
        for track in self._tracks.values():
            self._past.add(track)
            self._speakers.remove(track.id)
        self._tracks.clear()
        self._empty_since = now if self._empty_since is None else self._empty_since

    def expired(self, now: float) -> bool:
        """Nobody has been in the room for `empty_timeout_s`; hidden and reconnecting participants count."""
        return self._empty_since is not None and now - self._empty_since >= self.options.empty_timeout_s

    # --- tracks ---------------------------------------------------------------------------------------------

    def open_track(
        self,
        seat: Seat,
        codec: str,
        now: float,
        *,
        channels: int,
        frame_ms: float,
        content: Literal["voice", "music"],
        name: str,
        playout_interval_ms: int,
    ) -> Track:
        """For seats, which have checked the permission."""
        if len(seat.tracks) >= self.options.max_tracks_per_participant:
            limit = self.options.max_tracks_per_participant
            raise RoomError("limit_reached", f"a participant has at most {limit} tracks")
        track_id = self._free_track_id()
        talker = self._speakers.add(track_id, seat.participant_id)
        try:
            track = Track(
                track_id,
                seat,
                codec,
                talker,
                channels=channels,
                frame_ms=frame_ms,
                content=content,
                name=name,
                playout_interval_ms=playout_interval_ms,
                max_bitrate_bps=self.options.max_bitrate_bps,
                spread=self._spread,
                spread_above=self.options.spread_above,
            )
        except RoomError:
            self._speakers.remove(track_id)
            raise
        self._tracks[track_id] = seat.tracks[track_id] = track
        self._next_track = (track_id + 1) % TRACK_IDS
        moderation.track_opened(seat, track)
        self.tell(TrackOpened(track=track.view()), now)
        self.forwarding.opened(track)
        return track

    def close_track(self, track: Track, now: float) -> None:
        """For seats."""
        del track.seat.tracks[track.id]
        moderation.track_closed(track.seat, track)
        self._end_track(track, now)

    def track(self, track_id: int) -> Track:
        """Raises RoomError unknown_track."""
        track = self._tracks.get(track_id)
        if track is None:
            raise RoomError("unknown_track", f"track {track_id} is not open")
        return track

    def _end_track(self, track: Track, now: float) -> None:
        del self._tracks[track.id]
        self._speakers.remove(track.id)
        self._past.add(track)
        self.forwarding.closed(track)
        self.tell(TrackClosed(track=track.id, participant_id=track.seat.participant_id), now)

    def _free_track_id(self) -> int:
        """The next number in turn, so that a late packet does not meet a new track of its old number."""
        for step in range(TRACK_IDS):
            track_id = (self._next_track + step) % TRACK_IDS
            if track_id not in self._tracks:
                return track_id
        raise RoomError("limit_reached", f"a room has at most {TRACK_IDS} tracks")

    # --- telling --------------------------------------------------------------------------------------------

    def tell(
        self,
        event: RoomEvent,
        now: float,
        *,
        audience: Collection[str] | None = None,
        without: Seat | None = None,
        later: Seat | None = None,
    ) -> None:
        """For the room's own parts: log `event`, then tell it to all, or to the identities of `audience`.

        without: is never told. later: is not told now, but finds it in the log.
        """
        self._log.append(
            event, audience=audience, without=None if without is None else without.participant_id
        )
        seats: Iterable[Seat]
        if audience is None:
            seats = self._seats.values()
        else:
            seats = [self._by_identity[identity] for identity in audience if identity in self._by_identity]
        for seat in seats:
            if seat.suspended_until is None and seat is not without and seat is not later:
                seat.notify(event, now)

    def tell_participant(self, seat: Seat, now: float, *, later: Seat | None = None) -> None:
        """For seats: how the participant is seen has changed."""
        audience = frozenset((seat.identity,)) if seat.grants.hidden else None
        self.tell(ParticipantUpdated(participant=seat.view()), now, audience=audience, later=later)

    def send_from(
        self, seat: Seat | None, topic: str, data: Any, now: float, to: tuple[str, ...] | None
    ) -> None:
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
            self.tell(event, now, without=seat)
        else:
            self.tell(event, now, audience=frozenset(to))

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
            self.forwarding.refresh_limited()
        if changed:
            self._tell_speakers(self._seats.values(), now)
        elif self._behind_on_speakers:
            self._tell_speakers(self._behind_on_speakers, now)
        self._behind_on_speakers.clear()
        self._judge_bitrates(now)
        return self._deadline(now)

    def _deadline(self, now: float) -> float | None:
        deadlines = [seat.suspended_until for seat in self._suspended]
        deadlines.append(self._speakers.next_update())
        if self._empty_since is not None and not self.closed:
            deadlines.append(self._empty_since + self.options.empty_timeout_s)
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _tell_speakers(self, seats: Iterable[Seat], now: float) -> None:
        event = SpeakersChanged(speakers=self._speakers.speaking())
        for seat in seats:
            if seat.active:
                seat.notify(event, now)

    def _judge_bitrates(self, now: float) -> None:
        anybody_weak = any(seat.weak for seat in self._seats.values()) if self._tracks else False
        for track in self._tracks.values():
            if track.codec_name != "opus" or not (anybody_weak or track.ladder.step):
                continue
            weak = sum(seat.weak for seat in track.hearing)
            bitrate_bps = track.ladder.judge(weak, len(track.hearing), now)
            if bitrate_bps is not None:
                track.seat.request_bitrate(track, bitrate_bps, now)

    # --- looking --------------------------------------------------------------------------------------------

    def view(self, seat: Seat | None) -> RoomView:
        """The room as `seat` sees it: hidden participants are left out, but for oneself."""
        return RoomView(
            name=self.name,
            last_event_id=self._log.last_id,
            metadata=self.options.metadata,
            participants=tuple(
                other.view() for other in self._seats.values() if other is seat or not other.grants.hidden
            ),
            tracks=tuple(track.view() for track in self._tracks.values()),
            speakers=tuple(
                participant_id
                for participant_id, _ in self._speakers.speaking()
                if participant_id in self._seats
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
        return tuple(track.view() for track in self._tracks.values())

    def __len__(self) -> int:
        return len(self._seats)

    def __bool__(self) -> bool:
        """A room without participants is a room too."""
        return True

    @property
    def last_event_id(self) -> int:
        return self._log.last_id

    @property
    def statistics(self) -> RoomStatistics:
        """Summed up at the asking: nothing is counted twice on the way of a packet."""
        counters = self._past.copy()
        for track in self._tracks.values():
            counters.add(track)
        return RoomStatistics(
            participants=len(self._seats),
            tracks=len(self._tracks),
            packets_in=counters.packets_in,
            packets_delivered=counters.packets_delivered,
            packets_dropped=counters.packets_dropped,
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


class _Counters:
    def __init__(self) -> None:
        self.packets_in = 0
        self.packets_delivered = 0
        self.packets_dropped: dict[str, int] = {}

    def add(self, track: Track) -> None:
        self.packets_in += track.packets_in
        self.packets_delivered += track.packets_delivered
        for reason, count in track.packets_dropped.items():
            self.packets_dropped[reason] = self.packets_dropped.get(reason, 0) + count

    def copy(self) -> _Counters:
        other = _Counters()
        other.packets_in = self.packets_in
        other.packets_delivered = self.packets_delivered
        other.packets_dropped = dict(self.packets_dropped)
        return other


def _due(deadline: float | None, now: float) -> bool:
    return deadline is not None and deadline <= now
