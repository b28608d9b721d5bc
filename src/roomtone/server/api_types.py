"""The HTTP API's bodies. openapi.json is generated from these; docs/reference/http-api.md explains them.

Requests refuse unknown fields, so that a misspelt option is not silently ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from roomtone.participants.websocket_events import participant_info, track_info
from roomtone.protocol.messages import Attributes, Content, Presence, Role, TrackId
from roomtone.room.room import Room
from roomtone.room.seat import Seat
from roomtone.room.track import Track

RoomName = Annotated[str, msgspec.Meta(min_length=1, max_length=128, description="printable, without a slash")]
Metadata = Annotated[str, msgspec.Meta(max_length=4_096)]
Identity = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
SourceName = Annotated[str, msgspec.Meta(min_length=1, max_length=2_048)]

StreamState = Literal["starting", "playing", "finished", "stopped", "failed"]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what callers send."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what the server answers."""


# --- requests -----------------------------------------------------------------------------------------------


class CreateRoom(Request, frozen=True):
    """A room's options; what is missing is as the server's settings say. stage: joiners listen until promoted."""

    name: RoomName
    capacity: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | None = None
    stage: bool = False
    empty_timeout_s: Annotated[float, msgspec.Meta(ge=0, le=31_536_000)] | None = None
    speakers_limit: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    metadata: Metadata = ""


class UpdateParticipant(Request, frozen=True):
    """A moderator's decisions; a missing field changes nothing. track narrows `muted` to one track."""

    muted: bool | None = None
    track: TrackId | None = None
    role: Role | None = None


class PostMessage(Request, frozen=True):
    """A data message from the server, to all or to the identities in `to`. `data`: any JSON up to 16 KiB."""

    topic: Annotated[str, msgspec.Meta(max_length=256)] = ""
    data: Any = None
    to: Annotated[list[Identity], msgspec.Meta(min_length=1, max_length=256)] | None = None


class StartStream(Request, frozen=True):
    """What to play into the room: http(s) URLs, or paths below the server's media_dir; a list is played in turn.

    loop: begin again at the end. bitrate_bps: of the Opus stream; what suits content and channels by default.
    """

    source: SourceName | Annotated[list[SourceName], msgspec.Meta(min_length=1, max_length=1_000)]
    name: Annotated[str, msgspec.Meta(max_length=256)] = ""
    loop: bool = False
    bitrate_bps: Annotated[int, msgspec.Meta(ge=6_000, le=510_000)] | None = None
    content: Content = "voice"


# --- answers ------------------------------------------------------------------------------------------------


class RoomSummary(Answer, frozen=True):
    """A room. Hidden participants count too."""

    name: str
    participant_count: int
    track_count: int
    capacity: int
    stage: bool
    empty_timeout_s: float
    speakers_limit: int | None
    metadata: str
    age_s: float


class ParticipantDetail(Answer, frozen=True):
    """A participant as the server sees it; hidden: others are not told of it."""

    participant_id: str
    identity: str
    name: str
    kind: str
    role: Role
    presence: Presence
    hand_raised: bool
    metadata: str
    attributes: Attributes
    hidden: bool
    muted: bool


class TrackDetail(Answer, frozen=True):
    """A track and its counters since it was opened. frame_ms: the sender's usual frame."""

    track: TrackId
    participant_id: str
    identity: str
    codec: str
    channels: int
    frame_ms: float
    content: Content
    name: str
    muted: bool
    muted_by_moderator: bool
    listeners: int
    packets_in: int
    packets_delivered: int


class RoomDetail(RoomSummary, frozen=True):
    """A room with who is in it."""

    participants: list[ParticipantDetail]
    tracks: list[TrackDetail]


class RoomList(Answer, frozen=True):
    rooms: list[RoomSummary]


class ParticipantList(Answer, frozen=True):
    participants: list[ParticipantDetail]


class StreamInfo(Answer, frozen=True):
    """A stream. error: why it failed, in one line, "" otherwise. item: what is read now.

    seconds_played: of the source. warnings: the newest of the items that were left out, and why.
    """

    id: str
    room: str
    identity: str
    source: list[str]
    name: str
    loop: bool
    content: Content
    bitrate_bps: int
    state: StreamState
    item: str
    seconds_played: float
    loops: int
    underruns: int
    error: str
    warnings: list[str]


class StreamList(Answer, frozen=True):
    streams: list[StreamInfo]


class Health(Answer, frozen=True):
    status: Literal["ok"] = "ok"


class ProblemDocument(Answer, frozen=True):
    """An error, as RFC 9457 has it. code: stable, for programs; detail: for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str


# --- from the room's own objects ----------------------------------------------------------------------------


def room_summary(room: Room, now: float) -> RoomSummary:
    """The room as of `now`."""
    return RoomSummary(**_summary(room, now))


def room_detail(room: Room, now: float) -> RoomDetail:
    """The room as of `now`, with everybody in it."""
    seats = list(room.seats())
    return RoomDetail(
        **_summary(room, now),
        participants=[participant_detail(seat) for seat in seats],
        tracks=[track_detail(track) for seat in seats for track in seat.tracks.values()],
    )


def _summary(room: Room, now: float) -> dict[str, Any]:
    options = room.options
    return {
        "name": room.name,
        "participant_count": len(room),
        "track_count": len(room.tracks),
        "capacity": options.capacity,
        "stage": options.stage,
        "empty_timeout_s": options.empty_timeout_s,
        "speakers_limit": options.speakers_limit,
        "metadata": options.metadata,
        "age_s": round(now - room.created_at, 3),
    }


def participant_detail(seat: Seat) -> ParticipantDetail:
    """One participant."""
    return ParticipantDetail(
        **msgspec.structs.asdict(participant_info(seat.view())),
        hidden=seat.grants.hidden,
        muted=seat.moderation.muted,
    )


def track_detail(track: Track) -> TrackDetail:
    """One track."""
    info = msgspec.structs.asdict(track_info(track.view()))
    info.pop("playout_interval_ms")
    return TrackDetail(
        **info,
        identity=track.seat.identity,
        listeners=len(track.hearing),
        packets_in=track.packets_in,
        packets_delivered=track.packets_delivered,
    )
