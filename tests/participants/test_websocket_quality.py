"""What a listener is told of its own connection, on a virtual clock."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from roomtone.media.packet import Packet
from roomtone.participants.websocket import LOOK_INTERVAL_S, FreshnessPolicy, WebSocketParticipant
from roomtone.participants.websocket_connection import WebSocketConnection
from roomtone.protocol.frames import TEXT, FrameParser
from roomtone.protocol.server import ServerSession
from roomtone.room.grants import Grants
from roomtone.room.options import RoomOptions
from roomtone.room.room import Room


class _Connection:
    """What a participant asks of its connection."""

    is_open = True

    def unsent_bytes(self) -> int:
        return 1


def test_a_listener_that_was_late_is_told_when_all_is_well_again() -> None:
    """Also when the audio ended meanwhile: silence is no reason to be left with an old verdict."""
    room = Room("lobby", RoomOptions(), ids=lambda prefix: prefix, now=0.0)
    participant = WebSocketParticipant(ServerSession(0.0), FreshnessPolicy(), "token", lambda one: None)
    participant.seat = room.join(participant, "ada", Grants(), 0.0)
    written: list[bytes] = []
    participant.attach(cast(WebSocketConnection, _Connection()), written.append, len)
    participant.deliver(Packet(0, 0, 0, b"x"), 0.0)
    for look in range(1, 5):  # three quarters of a second old: late, and not yet behind
        participant.sweep(look * LOOK_INTERVAL_S + 0.02 * (look == 4))
    assert participant.acknowledge(1)
    for look in range(5, 9):
        participant.sweep(look * LOOK_INTERVAL_S)
    parser = FrameParser(masked=False, max_message_bytes=1 << 20)
    told: list[Any] = [
        msgspec.json.decode(payload) for opcode, payload in parser.feed(b"".join(written)) if opcode == TEXT
    ]
    assert [message["quality"] for message in told if message["type"] == "connection_quality"] == ["fair", "good"]
