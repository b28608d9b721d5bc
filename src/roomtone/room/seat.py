"""The only handle a participant holds: everything it may do in a room."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from roomtone.media.packet import CODEC_NAMES, Packet
from roomtone.room import moderation
from roomtone.room.errors import RoomError, SeatGone
from roomtone.room.events import (
    AudioEnded,
    InterruptRequested,
    LeaveReason,
    ParticipantView,
    PlayoutReported,
    Presence,
    Role,
    RoomEvent,
    TrackClockTold,
    TrackDucked,
    TrackFlushed,
)
from roomtone.room.forwarding import EVERYBODY, Subscription, SubscriptionMode
from roomtone.room.grants import Grants
from roomtone.room.moderation import Action
from roomtone.room.participant import Participant
from roomtone.room.track import Track
from roomtone.room.track_format import TrackFormat

if TYPE_CHECKING:
    from roomtone.room.room import Room

MAX_ATTRIBUTES: Final = 64
ALL_CODECS: Final = frozenset(CODEC_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a participant says of itself when it joins. codecs: what it can hear."""

    name: str = ""
    kind: str = "person"
    metadata: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    codecs: frozenset[str] = ALL_CODECS


class Seat:
    """A participant's place in a room, from `room.join` until it is `gone`.

    Every command but `leave` raises SeatGone once it is, and RoomError when the room refuses; nothing has
    changed then. `tracks` are its own, by track id, `heard` those of others that it hears now; `reach` is how
    much of the speakers' ranking decided that. The public attributes are for reading.
    """

    def __init__(
        self,
        room: Room,
        participant: Participant,
        participant_id: str,
        identity: str,
        grants: Grants,
        profile: Profile,
    ) -> None:
        self.room = room
        self.participant_id = participant_id
        self.identity = identity
        self.grants = grants
        self.kind = "agent" if grants.agent and profile.kind == "person" else profile.kind
        self.name = profile.name
        self.metadata = profile.metadata
        self.attributes = dict(profile.attributes)
        self.codecs = profile.codecs
        self.role: Role = "speaker" if grants.publish and not grants.hidden else "listener"
        self.hand_raised = False
        self.away = False
        self.gone = False
        self.weak = False
        self.suspended_until: float | None = None
        self.subscription = Subscription()
        self.moderation = moderation.SeatModeration()
        self.joined_event_id = 0
        self.tracks: dict[int, Track] = {}
        self.heard: dict[int, Track] = {}
        self.reach = EVERYBODY
        self.deliver: Callable[[Packet, float], None] = participant.deliver
        self.notify: Callable[[RoomEvent, float], None] = participant.notify
        self._view: ParticipantView | None = None

    # --- what others see ------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """In the room and connected: told of events and delivered to."""
        return not self.gone and self.suspended_until is None

    @property
    def presence(self) -> Presence:
        """Reconnecting goes before away."""
        if self.suspended_until is not None:
            return "reconnecting"
        return "away" if self.away else "joined"

    def view(self) -> ParticipantView:
        """The participant as others see it."""
        view = self._view
        if view is None:
            view = self._view = ParticipantView(
                participant_id=self.participant_id,
                identity=self.identity,
                name=self.name,
                kind=self.kind,
                role=self.role,
                presence=self.presence,
                hand_raised=self.hand_raised,
                metadata=self.metadata,
                attributes=tuple(self.attributes.items()),
            )
        return view

    def changed(self, now: float, *, later: Seat | None = None) -> None:
        """For the room's own parts: gate the tracks anew and tell how the participant is seen from now on."""
        self._view = None
        self.gate()
        self.room.bulletin.tell_participant(self, now, later=later)

    def gate(self) -> None:
        """For the room's own parts: let each track's packets through, or not, by role, mutes and presence."""
        for track in self.tracks.values():
            if self.role != "speaker":
                track.block("not_permitted")
            elif self.suspended_until is not None:
                track.block("suspended")
            elif track.muted or track.muted_by_moderator:
                track.block("muted")
            else:
                track.block(None)

    # --- audio ----------------------------------------------------------------------------------------------

    def publish(self, packet: Packet, now: float) -> None:
        """One packet of an own track, to everybody who hears it.

        Raises RoomError unknown_track for a track that is not this seat's, bad_audio for another codec than
        the track's. A muted, demoted or too fast publisher's packets are dropped and counted.
        """
        track = self.tracks.get(packet.track)
        if track is None:
            self._check()
            raise RoomError("unknown_track", f"track {packet.track} is not yours")
        if packet.codec != track.codec:
            sent = packet.codec.name.lower()
            raise RoomError("bad_audio", f"track {track.id} carries {track.format.codec}, not {sent}")
        track.publish(packet, now)

    def open_track(
        self,
        codec: str,
        now: float,
        *,
        channels: int = 1,
        frame_ms: float = 20,
        content: Literal["voice", "music"] = "voice",
        name: str = "",
        playout_interval_ms: int = 0,
    ) -> Track:
        """codec: a name of CODEC_NAMES; frame_ms: 2.5 to 60; playout_interval_ms: 0 asks for no reports.

        Raises RoomError not_permitted (hidden, no publish grant, a listener's role), limit_reached, invalid.
        """
        self._check()
        if not self.grants.publish or self.grants.hidden:
            raise RoomError("not_permitted", "the token does not allow to publish")
        if self.role != "speaker":
            raise RoomError("not_permitted", "a listener must be promoted first", retryable=True)
        track_format = TrackFormat(
            codec=codec,
            channels=channels,
            frame_ms=frame_ms,
            content=content,
            name=name,
            playout_interval_ms=playout_interval_ms,
        )
        return self.room.open_track(self, track_format, now)

    def close_track(self, track_id: int, now: float) -> None:
        """Raises RoomError unknown_track for a track that is not this seat's."""
        self.room.close_track(self._own(track_id), now)

    def mute(self, muted: bool, now: float, track: int | None = None) -> None:
        """Mute or unmute an own track, all of them (None). A moderator's mute stays as it is."""
        self._check()
        tracks = list(self.tracks.values()) if track is None else [self._own(track)]
        moderation.set_muted(self, tracks, muted, now, by_moderator=False)

    def subscribe(self, mode: SubscriptionMode, now: float, *, limit: int = 3, tracks: Iterable[int] = ()) -> None:
        """Hear "all", the `limit` most active "speakers", or the listed "tracks", future ones included."""
        self._check()
        if mode not in get_args(SubscriptionMode):
            raise RoomError("invalid", f"mode is all, speakers or tracks, not {mode!r}")
        if limit < 1:
            raise RoomError("invalid", f"limit is at least 1, not {limit}")
        self.subscription = Subscription(mode, limit, frozenset(tracks))
        self.room.forwarding.refresh(self)

    def flush(self, track: int, from_sequence: int, now: float) -> None:
        """Have everybody throw away what they hold of an own track before `from_sequence`."""
        self._own(track)
        self.room.bulletin.tell(TrackFlushed(track=track, from_sequence=from_sequence), now)

    def duck(self, track: int, gain_db: float, ramp_ms: int, now: float) -> None:
        """Have everybody play an own track at `gain_db`, -60 to 0, reached in `ramp_ms`, 0 to 5,000."""
        self._own(track)
        if not -60 <= gain_db <= 0:
            raise RoomError("invalid", f"gain_db is -60 to 0, not {gain_db}")
        if not 0 <= ramp_ms <= 5_000:
            raise RoomError("invalid", f"ramp_ms is 0 to 5000, not {ramp_ms}")
        self.room.bulletin.tell(TrackDucked(track=track, gain_db=gain_db, ramp_ms=ramp_ms), now)

    def audio_end(self, track: int, now: float) -> None:
        """Tell those who hear an own track that the talker has finished. Nothing while it is blocked."""
        own = self._own(track)
        if own.blocked is None:
            self.room.bulletin.tell_unlogged(AudioEnded(track=track), own.hearing, now)

    def clock(self, track: int, timestamp: int, sender_time_ms: float, now: float) -> None:
        """Tell those who hear an own track when, by the sender's clock, `timestamp` was captured."""
        own = self._own(track)
        event = TrackClockTold(track=track, timestamp=timestamp, sender_time_ms=sender_time_ms)
        self.room.bulletin.tell_unlogged(event, own.hearing, now)

    # --- how well it arrives --------------------------------------------------------------------------------

    def report_playout(
        self,
        track: int,
        timestamp: int,
        output_latency_ms: float,
        buffered_ms: float,
        underruns: int,
        now: float,
    ) -> None:
        """Tell a track's owner what is heard of it. `timestamp` is clamped to the end of what was sent.

        Hidden participants' reports, and those on a track of which nothing was sent, go nowhere.
        Raises RoomError unknown_track.
        """
        played = self._others(track)
        clamped = played.clamp_played(timestamp)
        if clamped is None or self.grants.hidden or not played.seat.active:
            return
        event = PlayoutReported(
            participant_id=self.participant_id,
            track=track,
            timestamp=clamped,
            output_latency_ms=output_latency_ms,
            buffered_ms=buffered_ms,
            underruns=underruns,
        )
        played.seat.notify(event, now)

    def set_weak(self, weak: bool, now: float) -> None:
        """This listener cannot keep up, or can again: it hears only the most active speaker meanwhile."""
        self._check()
        if weak != self.weak:
            self.room.set_weak(self, weak)

    # --- words ----------------------------------------------------------------------------------------------

    def set_state(
        self,
        now: float,
        *,
        name: str | None = None,
        hand_raised: bool | None = None,
        away: bool | None = None,
        metadata: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Change how others see one. None leaves a thing as it is; an attribute set to "" is removed.

        Raises RoomError limit_reached beyond MAX_ATTRIBUTES.
        """
        self._check()
        merged = {key: value for key, value in (self.attributes | dict(attributes or {})).items() if value}
        if len(merged) > MAX_ATTRIBUTES:
            raise RoomError("limit_reached", f"a participant has at most {MAX_ATTRIBUTES} attributes")
        before = self.view()
        self.attributes = merged
        self.name = self.name if name is None else name
        self.metadata = self.metadata if metadata is None else metadata
        self.hand_raised = self.hand_raised if hand_raised is None else hand_raised
        self.away = self.away if away is None else away
        self._view = None
        if self.view() != before:
            self.changed(now)

    def send(self, topic: str, data: Any, now: float, to: Iterable[str] | None = None) -> None:
        """A data message to all others, or to the identities in `to`, oneself where named.

        Raises RoomError not_permitted (no data grant, hidden), unknown_participant if nobody in `to` is here.
        """
        self._check()
        if not self.grants.data or self.grants.hidden:
            raise RoomError("not_permitted", "the token does not allow to send messages")
        self.room.send_from(self, topic, data, now, None if to is None else tuple(to))

    def moderate(self, action: Action, identity: str, now: float, track: int | None = None) -> None:
        """mute, unmute, promote, demote or remove a participant, oneself included.

        Raises RoomError not_permitted (no moderate grant), unknown_participant, unknown_track, invalid.
        """
        self._check()
        if not self.grants.moderate:
            raise RoomError("not_permitted", "the token does not allow to moderate")
        moderation.moderate(self.room, self.room.find(identity, seen_by=self), action, now, track)

    def interrupt(self, track: int | None, now: float) -> None:
        """Ask a track's owner, or all agents (None), to be silent.

        Raises RoomError unknown_track, not_permitted (hidden).
        """
        self._check()
        if self.grants.hidden:
            raise RoomError("not_permitted", "a hidden participant interrupts nobody")
        event = InterruptRequested(participant_id=self.participant_id, track=track)
        if track is not None:
            asked = [self.room.track_table.get(track).seat]
        else:
            asked = [seat for seat in self.room.seats() if seat.kind == "agent" and seat is not self]
        self.room.bulletin.tell_unlogged(event, asked, now)

    # --- coming and going -----------------------------------------------------------------------------------

    def suspend(self, now: float) -> None:
        """The connection is lost: keep the seat for the grace window, without any call to the participant."""
        self._check()
        if self.suspended_until is None:
            self.room.suspend(self, now)

    def resume(self, last_event_id: int, now: float) -> list[RoomEvent] | None:
        """The connection is back. The logged events that the participant missed and may see, oldest first.

        None when the log no longer reaches back to `last_event_id`: begin again from `room.view(seat)`.
        """
        self._check()
        return self.room.resume(self, last_event_id, now)

    def leave(self, now: float, reason: LeaveReason = "left") -> None:
        """Give up the seat; others are told why. Nothing when it is gone already."""
        if not self.gone:
            self.room.unseat(self, reason, now)

    # --- helpers --------------------------------------------------------------------------------------------

    def _check(self) -> None:
        if self.gone:
            raise SeatGone

    def _own(self, track_id: int) -> Track:
        track = self.tracks.get(track_id)
        if track is None:
            self._check()
            raise RoomError("unknown_track", f"track {track_id} is not yours")
        return track

    def _others(self, track_id: int) -> Track:
        self._check()
        track = self.room.track_table.get(track_id)
        if track.seat is self:
            raise RoomError("invalid", "one's own track is not played here")
        return track
