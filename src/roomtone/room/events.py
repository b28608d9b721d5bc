"""What a room tells its participants.

Every event is made once and given to all; adapters may keep its encoded form in `encoded`, as a Packet keeps
its frame. Events with an `event_id` above 0 are kept in the room's log, so that a participant that was away
can be told what it missed; the others (speakers, playout ...) speak only of now.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["speaker", "listener"]
Presence = Literal["joined", "reconnecting", "away"]
LeaveReason = Literal["left", "replaced", "removed", "timed_out", "room_closed", "too_slow", "draining"]


@dataclass(slots=True, kw_only=True)
class RoomEvent:
    """Base of all events. Immutable by convention but for `encoded`, which belongs to the adapters."""

    event_id: int = 0
    encoded: bytes | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantView:
    """A participant as others see them."""

    participant_id: str
    identity: str
    name: str = ""
    kind: str = "person"
    role: Role = "speaker"
    presence: Presence = "joined"
    hand_raised: bool = False
    metadata: str = ""
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackView:
    """A track as others see it. codec: a name of media.packet.CODEC_NAMES; frame_ms: 2.5 to 60."""

    track: int
    participant_id: str
    codec: str
    channels: int
    frame_ms: float
    content: Literal["voice", "music"]
    name: str
    muted: bool
    muted_by_moderator: bool
    playout_interval_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomView:
    """The room at `last_event_id`."""

    name: str
    last_event_id: int
    metadata: str
    participants: tuple[ParticipantView, ...]
    tracks: tuple[TrackView, ...]
    speakers: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class ParticipantJoined(RoomEvent):
    participant: ParticipantView


@dataclass(slots=True, kw_only=True)
class ParticipantUpdated(RoomEvent):
    participant: ParticipantView


@dataclass(slots=True, kw_only=True)
class ParticipantLeft(RoomEvent):
    participant_id: str
    identity: str
    reason: LeaveReason


@dataclass(slots=True, kw_only=True)
class TrackOpened(RoomEvent):
    track: TrackView


@dataclass(slots=True, kw_only=True)
class TrackUpdated(RoomEvent):
    track: TrackView


@dataclass(slots=True, kw_only=True)
class TrackClosed(RoomEvent):
    track: int
    participant_id: str


@dataclass(slots=True, kw_only=True)
class TrackFlushed(RoomEvent):
    """Everything of `track` older than `from_sequence` is to be thrown away, outboxes included."""

    track: int
    from_sequence: int


@dataclass(slots=True, kw_only=True)
class TrackDucked(RoomEvent):
    track: int
    gain_db: float
    ramp_ms: int


@dataclass(slots=True, kw_only=True)
class MessageSent(RoomEvent):
    """A data message. `to`: identities, None for all. sender "" is the server's HTTP API."""

    sender: str
    participant_id: str
    topic: str
    data: Any
    to: tuple[str, ...] | None = None


@dataclass(slots=True, kw_only=True)
class SpeakersChanged(RoomEvent):
    """(participant_id, level in -dBov), loudest first."""

    speakers: tuple[tuple[str, int], ...]


@dataclass(slots=True, kw_only=True)
class AudioEnded(RoomEvent):
    """The talker of `track` says that they have finished."""

    track: int


@dataclass(slots=True, kw_only=True)
class TrackClockTold(RoomEvent):
    """The sender captured the sample `timestamp` at `sender_time_ms` of its own clock."""

    track: int
    timestamp: int
    sender_time_ms: float


@dataclass(slots=True, kw_only=True)
class InterruptRequested(RoomEvent):
    """To a track's owner: `participant_id` asks for silence. track None: all of the owner's tracks."""

    participant_id: str
    track: int | None


@dataclass(slots=True, kw_only=True)
class PlayoutReported(RoomEvent):
    """To a track's owner: what `participant_id` hears now. `timestamp` is clamped to what was sent."""

    participant_id: str
    track: int
    timestamp: int
    output_latency_ms: float
    buffered_ms: float
    underruns: int


@dataclass(slots=True, kw_only=True)
class BitrateRequested(RoomEvent):
    """To a track's owner: encode at `bitrate_bps` from now on."""

    track: int
    bitrate_bps: int


@dataclass(slots=True, kw_only=True)
class Removed(RoomEvent):
    """To the participant itself, the last it hears: the seat is gone."""

    reason: LeaveReason
