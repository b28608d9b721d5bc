"""Real-time voice for Python: rooms, live streams and agents over one plain WebSocket.

The names below are the public ones; docs/reference/python.md explains each. They are imported on first use:
`import roomtone` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from roomtone.client.api import ServerApi
    from roomtone.client.connect import connect
    from roomtone.client.errors import (
        ApiError,
        BadToken,
        CommandLost,
        CommandRefused,
        ConnectError,
        MissingExtra,
        NotInRoom,
        ProtocolFailure,
        Removed,
        Replaced,
        RoomClosed,
        RoomFull,
        RoomtoneError,
        ServerFull,
        ServerUnreachable,
        SourceError,
    )
    from roomtone.client.events import ErrorTold, EventStream, EventWait, PlayoutReport, RoomEvent, StateChanged
    from roomtone.client.local_track import LocalTrack
    from roomtone.client.microphone import Microphone
    from roomtone.client.mixing import MixStream
    from roomtone.client.playout import Frame, Playout
    from roomtone.client.remote_track import FrameStream, PacketStream, RemoteTrack
    from roomtone.client.room import Room
    from roomtone.client.room_statistics import RoomStatistics
    from roomtone.client.track_options import LocalStatistics
    from roomtone.media.delay import LOSSY, WEBSOCKET, JitterSettings, fixed
    from roomtone.media.jitter_statistics import JitterStatistics
    from roomtone.media.packet import Packet
    from roomtone.protocol.messages import (
        AudioEnded,
        ConnectionQuality,
        Draining,
        Interrupted,
        ParticipantInfo,
        ParticipantJoined,
        ParticipantLeft,
        ParticipantUpdated,
        RoomMessage,
        SetBitrate,
        SpeakerInfo,
        Speakers,
        TrackClockTold,
        TrackClosed,
        TrackDucked,
        TrackFlushed,
        TrackInfo,
        TrackOpened,
        TrackUpdated,
    )
    from roomtone.room.grants import Grants
    from roomtone.server.app import Server
    from roomtone.server.auth import Key, mint

_HOMES: Final[dict[str, tuple[str, ...]]] = {
    "roomtone.client.api": ("ServerApi",),
    "roomtone.client.connect": ("connect",),
    "roomtone.client.errors": (
        "ApiError",
        "BadToken",
        "CommandLost",
        "CommandRefused",
        "ConnectError",
        "MissingExtra",
        "NotInRoom",
        "ProtocolFailure",
        "Removed",
        "Replaced",
        "RoomClosed",
        "RoomFull",
        "RoomtoneError",
        "ServerFull",
        "ServerUnreachable",
        "SourceError",
    ),
    "roomtone.client.events": (
        "ErrorTold",
        "EventStream",
        "EventWait",
        "PlayoutReport",
        "RoomEvent",
        "StateChanged",
    ),
    "roomtone.client.local_track": ("LocalTrack",),
    "roomtone.client.microphone": ("Microphone",),
    "roomtone.client.mixing": ("MixStream",),
    "roomtone.client.playout": (
        "Frame",
        "Playout",
    ),
    "roomtone.client.remote_track": (
        "FrameStream",
        "PacketStream",
        "RemoteTrack",
    ),
    "roomtone.client.room": (
        "Room",
        "RoomStatistics",
    ),
    "roomtone.client.track_options": ("LocalStatistics",),
    "roomtone.media.delay": (
        "JitterSettings",
        "LOSSY",
        "WEBSOCKET",
        "fixed",
    ),
    "roomtone.media.jitter_statistics": ("JitterStatistics",),
    "roomtone.media.packet": ("Packet",),
    "roomtone.protocol.messages": (
        "AudioEnded",
        "ConnectionQuality",
        "Draining",
        "Interrupted",
        "ParticipantInfo",
        "ParticipantJoined",
        "ParticipantLeft",
        "ParticipantUpdated",
        "RoomMessage",
        "SetBitrate",
        "SpeakerInfo",
        "Speakers",
        "TrackClockTold",
        "TrackClosed",
        "TrackDucked",
        "TrackFlushed",
        "TrackInfo",
        "TrackOpened",
        "TrackUpdated",
    ),
    "roomtone.room.grants": ("Grants",),
    "roomtone.server.app": ("Server",),
    "roomtone.server.auth": (
        "Key",
        "mint",
    ),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022  plain alphabetical order, as the reference page has it
    "ApiError",
    "AudioEnded",
    "BadToken",
    "CommandLost",
    "CommandRefused",
    "ConnectError",
    "ConnectionQuality",
    "Draining",
    "ErrorTold",
    "EventStream",
    "EventWait",
    "Frame",
    "FrameStream",
    "Grants",
    "Interrupted",
    "JitterSettings",
    "JitterStatistics",
    "Key",
    "LOSSY",
    "LocalStatistics",
    "LocalTrack",
    "Microphone",
    "MissingExtra",
    "MixStream",
    "NotInRoom",
    "Packet",
    "PacketStream",
    "ParticipantInfo",
    "ParticipantJoined",
    "ParticipantLeft",
    "ParticipantUpdated",
    "Playout",
    "PlayoutReport",
    "ProtocolFailure",
    "RemoteTrack",
    "Removed",
    "Replaced",
    "Room",
    "RoomClosed",
    "RoomEvent",
    "RoomFull",
    "RoomMessage",
    "RoomStatistics",
    "RoomtoneError",
    "Server",
    "ServerApi",
    "ServerFull",
    "ServerUnreachable",
    "SetBitrate",
    "SourceError",
    "SpeakerInfo",
    "Speakers",
    "StateChanged",
    "TrackClockTold",
    "TrackClosed",
    "TrackDucked",
    "TrackFlushed",
    "TrackInfo",
    "TrackOpened",
    "TrackUpdated",
    "WEBSOCKET",
    "connect",
    "fixed",
    "mint",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'roomtone' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
