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
    )
    from roomtone.client.events import StateChanged
    from roomtone.client.local_track import LocalTrack
    from roomtone.client.microphone import Microphone
    from roomtone.client.playout import Frame
    from roomtone.client.remote_track import RemoteTrack
    from roomtone.client.room import Room
    from roomtone.media.delay import LOSSY, WEBSOCKET, JitterSettings
    from roomtone.media.packet import Packet
    from roomtone.protocol.messages import (
        ConnectionQuality,
        Interrupted,
        ParticipantInfo,
        ParticipantJoined,
        ParticipantLeft,
        ParticipantUpdated,
        RoomMessage,
        Speakers,
        TrackClosed,
        TrackInfo,
        TrackOpened,
        TrackUpdated,
    )
    from roomtone.room.grants import Grants
    from roomtone.server.app import Server
    from roomtone.server.auth import Key, mint
    from roomtone.sources.errors import SourceError

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
    ),
    "roomtone.client.events": ("StateChanged",),
    "roomtone.client.local_track": ("LocalTrack",),
    "roomtone.client.microphone": ("Microphone",),
    "roomtone.client.playout": ("Frame",),
    "roomtone.client.remote_track": ("RemoteTrack",),
    "roomtone.client.room": ("Room",),
    "roomtone.media.delay": ("JitterSettings", "LOSSY", "WEBSOCKET"),
    "roomtone.media.packet": ("Packet",),
    "roomtone.protocol.messages": (
        "ConnectionQuality",
        "Interrupted",
        "ParticipantInfo",
        "ParticipantJoined",
        "ParticipantLeft",
        "ParticipantUpdated",
        "RoomMessage",
        "Speakers",
        "TrackClosed",
        "TrackInfo",
        "TrackOpened",
        "TrackUpdated",
    ),
    "roomtone.room.grants": ("Grants",),
    "roomtone.server.app": ("Server",),
    "roomtone.server.auth": ("Key", "mint"),
    "roomtone.sources.errors": ("SourceError",),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022  plain alphabetical order, as the reference page has it
    "ApiError",
    "BadToken",
    "CommandLost",
    "CommandRefused",
    "ConnectError",
    "ConnectionQuality",
    "Frame",
    "Grants",
    "Interrupted",
    "JitterSettings",
    "Key",
    "LOSSY",
    "LocalTrack",
    "Microphone",
    "MissingExtra",
    "NotInRoom",
    "Packet",
    "ParticipantInfo",
    "ParticipantJoined",
    "ParticipantLeft",
    "ParticipantUpdated",
    "ProtocolFailure",
    "RemoteTrack",
    "Removed",
    "Replaced",
    "Room",
    "RoomClosed",
    "RoomFull",
    "RoomMessage",
    "RoomtoneError",
    "Server",
    "ServerApi",
    "ServerFull",
    "ServerUnreachable",
    "SourceError",
    "Speakers",
    "StateChanged",
    "TrackClosed",
    "TrackInfo",
    "TrackOpened",
    "TrackUpdated",
    "WEBSOCKET",
    "connect",
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
