"""The control messages: JSON text frames, one object each, told apart by `type`.

docs/protocol.md explains them; schema/messages.schema.json is generated from this file. Unknown fields are
ignored, so that a newer peer may add some; an unknown `type` is answered with an `unsupported` error.

Commands (messages that change something) carry a `command_id`, which the client counts up from 1: the server
applies each once, answers with `command_applied` or an `error` that names it, and tells the last one on
resume.
Events (messages that tell a change of the room) carry an `event_id`, which the room counts up.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

import msgspec

SUBPROTOCOL: Final = "roomtone.v1"
PATH: Final = "/v1/connect"
MAX_MESSAGE_BYTES: Final = 65_536
"""From a client to the server."""
MAX_SERVER_MESSAGE_BYTES: Final = 16 * MAX_MESSAGE_BYTES
"""From the server to a client: a full room's snapshot is longer than anything else."""
MAX_DATA_BYTES: Final = 16_384
"""A data message's `data`, as JSON."""
MAX_DATA_DEPTH: Final = 64
"""Arrays and objects inside one another in `data`: far below where any JSON library gives up."""

TrackId = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Sequence = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Timestamp = Annotated[int, msgspec.Meta(ge=0, le=4_294_967_295, description="48 kHz ticks")]
CommandId = Annotated[int, msgspec.Meta(ge=1, le=2**53)]
CodecName = Literal["opus", "pcm_16k", "pcm_24k", "pcm_48k", "pcmu", "pcma"]
Content = Literal["voice", "music"]
Role = Literal["speaker", "listener"]
Presence = Literal["joined", "reconnecting", "away"]
Quality = Literal["good", "fair", "poor"]
ShortText = Annotated[str, msgspec.Meta(max_length=256)]
Attributes = Annotated[dict[ShortText, Annotated[str, msgspec.Meta(max_length=1_024)]], msgspec.Meta(max_length=32)]
Metadata = Annotated[str, msgspec.Meta(max_length=4_096)]


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """Base of all control messages."""


# --- shapes inside messages ---------------------------------------------------------------------------------


class TrackInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A track as others see it. `frame_ms` is the sender's usual frame, 2.5 to 60."""

    track: TrackId
    participant_id: str
    codec: CodecName
    channels: int = 1
    frame_ms: float = 20
    content: Content = "voice"
    name: str = ""
    muted: bool = False
    muted_by_moderator: bool = False
    playout_interval_ms: int = 0


class ParticipantInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A participant as others see them. Hidden participants are told to nobody."""

    participant_id: str
    identity: str
    name: str = ""
    kind: str = "person"
    role: Role = "speaker"
    presence: Presence = "joined"
    hand_raised: bool = False
    metadata: str = ""
    attributes: dict[str, str] = {}


class RoomSnapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The room at `last_event_id`: apply later events to it."""

    name: str
    last_event_id: int = 0
    metadata: str = ""
    participants: list[ParticipantInfo] = []
    tracks: list[TrackInfo] = []
    speakers: list[str] = []


class Limits(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server holds a session to."""

    max_message_bytes: int
    max_tracks: int
    max_bitrate_bps: int
    receive_report_interval_ms: int
    resume_window_ms: int
    max_control_messages_per_s: int = 100


class Resume(msgspec.Struct, frozen=True, kw_only=True):
    """Come back to a seat that is still kept."""

    token: str
    last_event_id: Annotated[int, msgspec.Meta(ge=0)] = 0


class SpeakerInfo(msgspec.Struct, frozen=True):
    """Someone who speaks now; level in -dBov, 0 the loudest."""

    participant_id: str
    level: int


# --- client to server ---------------------------------------------------------------------------------------


class SessionStart(Message, tag="session_start", frozen=True):
    """The first message, within 5 s. `codecs`: what this client can decode, in order of preference."""

    token: Annotated[str, msgspec.Meta(max_length=8_192)] = ""
    room: ShortText | None = None
    codecs: Annotated[list[str], msgspec.Meta(max_length=16)] = msgspec.field(default_factory=lambda: ["opus"])
    name: ShortText = ""
    locale: ShortText = ""
    voice: ShortText = ""
    metadata: Metadata = ""
    client: ShortText = ""
    resume: Resume | None = None


class TrackOpen(Message, tag="track_open", frozen=True):
    """Ask for a track. Answered by `track_opened` with the same `command_id`, which gives the track's id."""

    command_id: CommandId
    codec: CodecName = "opus"
    channels: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    frame_ms: Annotated[float, msgspec.Meta(ge=2.5, le=60)] = 20
    content: Content = "voice"
    name: ShortText = ""
    playout_interval_ms: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0


class TrackClose(Message, tag="track_close", frozen=True):
    command_id: CommandId
    track: TrackId


class TrackClock(Message, tag="track_clock", frozen=True):
    """As RTCP's sender report (RFC 3550, 6.4.1): at `sender_time_ms` the sample `timestamp` was captured."""

    track: TrackId
    timestamp: Timestamp
    sender_time_ms: float


class AudioEnd(Message, tag="audio_end", frozen=True):
    """The talker has finished (push-to-talk released); an agent may answer at once."""

    track: TrackId


class Interrupt(Message, tag="interrupt", frozen=True):
    """Ask whoever owns `track` (all agents where it is missing) to stop speaking."""

    command_id: CommandId
    track: TrackId | None = None


class Mute(Message, tag="mute", frozen=True):
    """Mute or unmute one's own track, all of one's tracks where `track` is missing."""

    command_id: CommandId
    muted: bool
    track: TrackId | None = None


class Subscribe(Message, tag="subscribe", frozen=True):
    """Choose what to hear: everything, the `limit` most active speakers, or the listed tracks."""

    command_id: CommandId
    mode: Literal["all", "speakers", "tracks"]
    limit: Annotated[int, msgspec.Meta(ge=1, le=64)] = 3
    tracks: Annotated[list[TrackId], msgspec.Meta(max_length=256)] = []


class SetState(Message, tag="set_state", frozen=True):
    """Change how others see one. A missing field stays as it is; an attribute set to "" is removed."""

    command_id: CommandId
    name: ShortText | None = None
    hand_raised: bool | None = None
    away: bool | None = None
    metadata: Metadata | None = None
    attributes: Attributes | None = None


class SendMessage(Message, tag="message", frozen=True):
    """A data message to the room, or to the identities in `to`. `data` is any JSON value up to 16 KiB."""

    command_id: CommandId
    topic: ShortText = ""
    data: Any = None
    to: Annotated[list[ShortText], msgspec.Meta(max_length=256)] | None = None


class ReceiveReport(Message, tag="receive_report", frozen=True):
    """Both ways, every `receive_report_interval_ms` while audio comes in: freshness by acknowledgement.

    received: how many audio frames came over this connection so far (not over earlier ones of the session);
    what was sent minus what was received lies in buffers on the way, and its age is the listener's lag.
    sequences: the newest sequence number received of each track (keys are track ids, as text in JSON). The
    server tells a publisher those of its own tracks; a listener may tell them, for the statistics.
    """

    received: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    sequences: Annotated[dict[TrackId, Sequence], msgspec.Meta(max_length=256)] = {}


class Playout(Message, tag="playout", frozen=True):
    """What was heard: the sample `timestamp` of `track` is at the speaker now.

    To the server from a listener; from the server to the track's owner alone, then with `participant_id`.
    """

    track: TrackId
    timestamp: Timestamp
    output_latency_ms: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 0
    buffered_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] = 0
    underruns: Annotated[int, msgspec.Meta(ge=0)] = 0
    participant_id: str | None = None


class Moderate(Message, tag="moderate", frozen=True):
    """A moderator's command over the participant `identity`. `track` narrows mute and unmute to one track."""

    command_id: CommandId
    action: Literal["mute", "unmute", "promote", "demote", "remove"]
    identity: ShortText
    track: TrackId | None = None


class FlushTrack(Message, tag="track_flush", frozen=True):
    """Tell every listener to throw away what it holds of one's own track before `from_sequence`."""

    command_id: CommandId
    track: TrackId
    from_sequence: Sequence


class DuckTrack(Message, tag="track_duck", frozen=True):
    """Ask every listener to play one's own track at `gain_db`, reached in `ramp_ms`."""

    command_id: CommandId
    track: TrackId
    gain_db: Annotated[float, msgspec.Meta(ge=-60, le=0)]
    ramp_ms: Annotated[int, msgspec.Meta(ge=0, le=5_000)] = 50


class Ping(Message, tag="ping", frozen=True):
    """`sent_at_ms` is the client's own clock and comes back unchanged in `pong`."""

    sent_at_ms: float


class Leave(Message, tag="leave", frozen=True):
    """Give up the seat: no resume. The server closes with 1000."""


ClientMessage = (
    SessionStart
    | TrackOpen
    | TrackClose
    | TrackClock
    | AudioEnd
    | Interrupt
    | Mute
    | Subscribe
    | SetState
    | SendMessage
    | ReceiveReport
    | Playout
    | Moderate
    | FlushTrack
    | DuckTrack
    | Ping
    | Leave
)

# --- server to client ---------------------------------------------------------------------------------------


class Error(Message, tag="error", frozen=True):
    """Something the client asked for was not done. `code` is one of errors.ERROR_CODES."""

    code: str
    message: str
    retryable: bool = False
    command_id: int | None = None


class SessionStarted(Message, tag="session_started", frozen=True):
    """The answer to `session_start`.

    `resumed`: "new" (a new seat: begin from `room`), "events" (the seat was kept: the missed events follow),
    "snapshot" (the seat was kept, but too much was missed: begin again from `room`; own tracks are in it).
    `last_command_id`: no command up to it need be sent again; those of them that failed are in `refused`.
    """

    participant_id: str
    identity: str
    resume_token: str
    room: RoomSnapshot
    limits: Limits
    server_time_ms: float
    resumed: Literal["new", "events", "snapshot"] = "new"
    last_command_id: int = 0
    permissions: list[str] = []
    refused: list[Error] = []


class CommandApplied(Message, tag="command_applied", frozen=True):
    """The command was carried out, now or, for one sent again, before. `track_open` has its own answer."""

    command_id: int


class ParticipantJoined(Message, tag="participant_joined", frozen=True):
    event_id: int
    participant: ParticipantInfo


class ParticipantUpdated(Message, tag="participant_updated", frozen=True):
    """Name, role, presence, raised hand, metadata or attributes changed; the whole participant is told."""

    event_id: int
    participant: ParticipantInfo


class ParticipantLeft(Message, tag="participant_left", frozen=True):
    """`reason`: left, replaced, removed, timed_out, room_closed, too_slow, draining."""

    event_id: int
    participant_id: str
    identity: str
    reason: str


class TrackOpened(Message, tag="track_opened", frozen=True):
    """To the owner, `command_id` names the `track_open` that it answers."""

    event_id: int
    track: TrackInfo
    command_id: int | None = None


class TrackUpdated(Message, tag="track_updated", frozen=True):
    """A track was muted or unmuted."""

    event_id: int
    track: TrackInfo


class TrackClosed(Message, tag="track_closed", frozen=True):
    event_id: int
    track: TrackId
    participant_id: str


class TrackFlushed(Message, tag="track_flushed", frozen=True):
    """Throw away, at once, all audio of `track` that is older than `from_sequence`."""

    event_id: int
    track: TrackId
    from_sequence: Sequence


class TrackDucked(Message, tag="track_ducked", frozen=True):
    """Play `track` at `gain_db` (0 = as it was), reached linearly in `ramp_ms`. Audio goes on."""

    event_id: int
    track: TrackId
    gain_db: float
    ramp_ms: int


class Speakers(Message, tag="speakers", frozen=True):
    """Who speaks now, loudest first; sent when the set changes. Not kept for resume."""

    speakers: list[SpeakerInfo]


class RoomMessage(Message, tag="message", frozen=True):
    """A data message. `sender` is an identity, "" for the HTTP API."""

    event_id: int
    sender: str
    participant_id: str = ""
    topic: str = ""
    data: Any = None


class Interrupted(Message, tag="interrupt", frozen=True):
    """To a track's owner: `participant_id` asks for silence."""

    participant_id: str
    track: TrackId | None = None


class AudioEnded(Message, tag="audio_end", frozen=True):
    """The talker of `track` says that they have finished."""

    track: TrackId


class TrackClockTold(Message, tag="track_clock", frozen=True):
    """The sender's clock, passed on to the track's listeners."""

    track: TrackId
    timestamp: Timestamp
    sender_time_ms: float


class SetBitrate(Message, tag="set_bitrate", frozen=True):
    """Ask a publisher to encode `track` at `bitrate_bps`: its listeners cannot keep up (or can again)."""

    track: TrackId
    bitrate_bps: int


class ConnectionQuality(Message, tag="connection_quality", frozen=True):
    """How well this client's own connection takes what it is sent."""

    quality: Quality
    lag_ms: float


class Draining(Message, tag="draining", frozen=True):
    """The server stops within `deadline_ms`: reconnect to `url`, or to the same address without one."""

    deadline_ms: int
    url: str | None = None


class Pong(Message, tag="pong", frozen=True):
    sent_at_ms: float
    server_time_ms: float


ServerMessage = (
    SessionStarted
    | CommandApplied
    | ParticipantJoined
    | ParticipantUpdated
    | ParticipantLeft
    | TrackOpened
    | TrackUpdated
    | TrackClosed
    | TrackFlushed
    | TrackDucked
    | Speakers
    | RoomMessage
    | Interrupted
    | AudioEnded
    | TrackClockTold
    | SetBitrate
    | ConnectionQuality
    | Draining
    | Pong
    | Error
    | ReceiveReport
    | Playout
)

CLIENT_MESSAGE_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in get_args(ClientMessage))
SERVER_MESSAGE_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in get_args(ServerMessage))

_encoder = msgspec.json.Encoder()
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)


def encode(message: Message) -> bytes:
    """One JSON object, UTF-8."""
    return _encoder.encode(message)


def encode_value(value: Any) -> bytes:
    """Any JSON value, UTF-8."""
    return _encoder.encode(value)


def decode_client_message(data: bytes | str) -> ClientMessage:
    """Parse what a client sent. Raises msgspec.DecodeError: ValidationError if the fields are off."""
    return _client_decoder.decode(data)


def decode_server_message(data: bytes | str) -> ServerMessage:
    """Parse what a server sent. Raises msgspec.DecodeError."""
    return _server_decoder.decode(data)
