"""A server that breaks the protocol, newer than this client, or dead: never a crash, always a reason."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

import roomtone
from roomtone.media.packet import Packet
from roomtone.protocol import frames, messages
from tests.client.rooms import until

LIMITS = messages.Limits(
    max_message_bytes=65_536,
    max_tracks=8,
    max_bitrate_bps=512_000,
    receive_report_interval_ms=100,
    resume_window_ms=30_000,
)
STARTED = messages.SessionStarted(
    participant_id="p1",
    identity="ada",
    resume_token="again",
    room=messages.RoomSnapshot(name="lobby"),
    limits=LIMITS,
    server_time_ms=0,
)


class FakeServer(asyncio.Protocol):
    """Seats everyone who says session_start; keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.connections = 0
        self._transport: Any = None
        self._parser = frames.FrameParser(masked=True, max_message_bytes=1 << 20)

    def open_connection(self, transport: asyncio.Transport, peer: str = "") -> asyncio.Protocol:
        self._transport = transport
        self._parser = frames.FrameParser(masked=True, max_message_bytes=1 << 20)
        self.connections += 1
        return self

    def data_received(self, data: bytes) -> None:
        for opcode, payload in self._parser.feed(data):
            if opcode == frames.TEXT:
                self.told.append(msgspec.json.decode(payload))
                if self.told[-1]["type"] == "session_start":
                    self.say(STARTED)
                elif self.told[-1]["type"] == "leave":
                    self.close(1000)
            elif opcode == frames.CLOSE:
                self._transport.close()

    def say(self, message: messages.Message | bytes) -> None:
        data = message if isinstance(message, bytes) else messages.encode(message)
        self._transport.write(frames.text_frame(data))

    def play(self, packet: bytes) -> None:
        self._transport.write(frames.encode_frame(frames.BINARY, packet))

    def close(self, code: int) -> None:
        self._transport.write(frames.encode_close(code, ""))
        self._transport.close()


@pytest.mark.parametrize(
    "garbage", [b"{", b"[]", b'{"type":"speakers"}', b'{"no":"type"}', b'{"type":"pong","sent_at_ms":"now"}', b"\xff"]
)
async def test_a_message_that_is_none_ends_the_session(garbage: bytes) -> None:
    """The fault has a name, the server is told by the close code, and nobody reconnects into it."""
    server = FakeServer()
    async with roomtone.connect(server, "token") as ada:
        server.say(garbage)
        with pytest.raises(roomtone.ProtocolFailure):
            await ada.wait_closed()
        assert server.connections == 1


@pytest.mark.parametrize("audio", [b"", b"\x11", b"\x21" + bytes(20), b"\x11\xf0" + bytes(20)])
async def test_audio_that_is_none_ends_the_session(audio: bytes) -> None:
    """Short, of another version, with unknown flags."""
    server = FakeServer()
    async with roomtone.connect(server, "token") as ada:
        server.play(audio)
        with pytest.raises(roomtone.ProtocolFailure):
            await ada.wait_closed()


async def test_what_a_newer_server_says_is_passed_over() -> None:
    """Unknown messages and unknown fields change nothing; audio of unknown tracks is counted."""
    server = FakeServer()
    async with roomtone.connect(server, "token") as ada:
        events = ada.events()
        server.say(b'{"type":"hologram","depth":3}')
        server.play(Packet(77, 0, 0, b"x").data)
        server.say(b'{"type":"speakers","speakers":[],"mood":"fine"}')
        assert isinstance(await anext(events), roomtone.Speakers)
        assert ada.statistics.stray_frames == 1
        assert ada.state == "joined"


async def test_every_frame_is_reported_back() -> None:
    """receive_report counts all frames of this connection, every receive_report_interval_ms while they come."""
    server = FakeServer()
    async with roomtone.connect(server, "token"):
        for sequence in range(7):
            server.play(Packet(1, sequence, sequence * 960, b"x").data)
        await until(lambda: any(one["type"] == "receive_report" for one in server.told))
        report = next(one for one in server.told if one["type"] == "receive_report")
        assert report["received"] == 7


async def test_the_first_message_introduces() -> None:
    """session_start carries token, room, name, codecs, metadata and who speaks; a resume comes with its token."""
    server = FakeServer()
    async with roomtone.connect(
        server, lambda: "fresh", room="lobby", name="Ada", metadata="m", codecs=["pcmu", "opus"]
    ) as ada:
        server._transport.abort()
        await until(lambda: server.connections == 2 and ada.state == "joined")
    first, second = [one for one in server.told if one["type"] == "session_start"]
    assert first.items() >= {"token": "fresh", "room": "lobby", "name": "Ada", "metadata": "m"}.items()
    assert first["codecs"] == ["pcmu", "opus"]
    assert first["client"].startswith("roomtone-python/")
    assert "resume" not in first
    assert second["resume"]["token"] == "again"


@pytest.mark.parametrize("code", [1011, 4007, 4009, 4010, 4005])
async def test_a_passing_trouble_is_waited_out(code: int) -> None:
    """Codes that say resume or later bring the client back; the same on the first attempt is an error."""
    server = FakeServer()
    async with roomtone.connect(server, "token") as ada:
        server.close(code)
        await until(lambda: server.connections == 2 and ada.state == "joined")


async def test_a_server_that_never_answers_can_be_given_up() -> None:
    """Cancelling join() takes the half-made session back."""

    class Mute(FakeServer):
        def data_received(self, data: bytes) -> None:
            self.told.append({})

    server = Mute()
    joining = asyncio.create_task(roomtone.connect(server, "token").join())
    await until(lambda: server.told)
    joining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining


async def test_too_many_commands_at_once_are_refused_here() -> None:
    """256 may wait for an answer; the next is told to come later."""
    server = FakeServer()
    async with roomtone.connect(server, "token") as ada:
        waiting = [asyncio.create_task(ada.send(number)) for number in range(257)]
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = done
        error = refused.exception()
        assert isinstance(error, roomtone.CommandRefused)
        assert (error.code, error.retryable) == ("limit_reached", True)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(one, roomtone.NotInRoom) for one in results) == 256
