"""Who comes to the fuzzed server: guests that keep the protocol and remember what they were told, and vandals."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import Any

import msgspec

from roomtone.media.packet import Packet
from roomtone.protocol.errors import ProtocolError
from roomtone.protocol.frames import BINARY, CLOSE, PING, PONG, TEXT, FrameParser, encode_frame
from roomtone.server.app import Server

MASK = b"mask"
PATIENCE_S = 20.0
REQUEST = (
    "GET /v1/connect HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Guest:
    """One identity in one room, with what it knows: participants and tracks as the wire told them."""

    def __init__(self, server: Server, identity: str, room: str, grants: dict[str, bool]) -> None:
        self.identity = identity
        self.room = room
        self.participant_id = ""
        self.participants: dict[str, dict[str, Any]] = {}
        self.tracks: dict[int, dict[str, Any]] = {}
        self.heard: set[int] = set()
        self.alive = False
        self._server = server
        self._token = server.token(identity, room=room, grants=grants)
        self._resume_token = ""
        self._last_event_id = 0
        self._commands = 0
        self._pings = 0
        self._pong = -1
        self._news = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    # --- coming and going -----------------------------------------------------------------------------------

    async def connect(self, *, resume: bool, forgetful: bool = False) -> str:
        """On a new connection, whatever there is; what became of it: new, events, snapshot.

        forgetful: it cannot say which events it saw, and gets a snapshot.
        """
        old = self._reading
        resume = resume and bool(self._resume_token)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
        writer.write(REQUEST.format(port=self._server.port).encode())
        await reader.readuntil(b"\r\n\r\n")
        start: dict[str, Any] = {"type": "session_start", "token": self._token}
        if resume:
            if old is not None:  # hear all that the old connection has to say before counting from there
                self.cut()
                await old
            start["resume"] = {
                "token": self._resume_token,
                "last_event_id": 1 << 40 if forgetful else self._last_event_id,
            }
        writer.write(encode_frame(TEXT, msgspec.json.encode(start), MASK))
        parser = FrameParser(masked=False, max_message_bytes=1 << 21)
        messages: list[tuple[int, bytes]] = []
        async with asyncio.timeout(PATIENCE_S):
            while not messages:
                data = await reader.read(65_536)
                assert data, f"{self.identity} was not let in"
                messages = parser.feed(data)
        if old is not None and not resume:  # replaced: the server lets go of the old one
            async with asyncio.timeout(PATIENCE_S):
                await old
        self._writer = writer
        started = msgspec.json.decode(messages[0][1])
        assert started["type"] == "session_started", started
        how = str(started.get("resumed", "new"))
        self._started(started, how)
        self.alive = True
        self._reading = asyncio.create_task(self._read(reader, writer, parser, messages[1:]))
        return how

    def cut(self) -> None:
        """The network is gone."""
        self.alive = False
        if self._writer is not None:
            self._writer.transport.abort()

    async def gone(self) -> None:
        """Wait for the end of the connection."""
        if self._reading is not None:
            await self._reading

    # --- saying ---------------------------------------------------------------------------------------------

    def send(self, kind: str, **fields: Any) -> None:
        """A message without a command id."""
        self._write(TEXT, msgspec.json.encode({"type": kind, **fields}))

    def command(self, kind: str, **fields: Any) -> None:
        """The answer is not waited for."""
        self._commands += 1
        self.send(kind, command_id=self._commands, **fields)

    def talk(self, track: int, serial: int) -> None:
        """One frame, recognisable by its number."""
        packet = Packet(track, serial & 0xFFFF, serial, serial.to_bytes(4, "big"), level=20, voice=True)
        self._write(BINARY, packet.data)

    def own_tracks(self) -> list[int]:
        """As far as it knows."""
        return [number for number, track in self.tracks.items() if track["participant_id"] == self.participant_id]

    async def barrier(self) -> None:
        """Until the server has handled all that was said, and all it had to say is here; or the end."""
        if not self.alive:
            return
        self._pings += 1
        self.send("ping", sent_at_ms=self._pings)
        async with asyncio.timeout(PATIENCE_S):
            while self.alive and self._pong < self._pings:
                self._news.clear()
                await self._news.wait()

    def _write(self, opcode: int, payload: bytes) -> None:
        assert self._writer is not None
        if not self._writer.is_closing():
            self._writer.write(encode_frame(opcode, payload, MASK))

    # --- hearing --------------------------------------------------------------------------------------------

    def _started(self, started: dict[str, Any], how: str) -> None:
        self.participant_id = started["participant_id"]
        self._resume_token = started["resume_token"]
        if how == "events":
            return
        room = started["room"]
        self._last_event_id = room.get("last_event_id", 0)
        self.participants = {one["participant_id"]: one for one in room.get("participants", ())}
        self.tracks = {one["track"]: one for one in room.get("tracks", ())}
        if how == "new":
            self._commands = 0

    async def _read(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        parser: FrameParser,
        messages: list[tuple[int, bytes]],
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                for opcode, payload in messages:
                    if opcode == TEXT:
                        self._told(msgspec.json.decode(payload))
                    elif opcode == BINARY:
                        self.heard.add(Packet.decode(payload).timestamp)
                    elif opcode == PING:
                        writer.write(encode_frame(PONG, payload, MASK))
                self._news.set()
                if any(opcode == CLOSE for opcode, _ in messages):
                    break
                data = await reader.read(65_536)
                if not data:
                    break
                messages = parser.feed(data)
        if self._writer is writer:
            self.alive = False
        self._news.set()
        writer.transport.abort()

    def _told(self, message: dict[str, Any]) -> None:
        event_id = message.get("event_id")
        if event_id is not None:
            answer = message["type"] == "track_opened"  # comes once as an event, and again as an answer
            assert event_id > self._last_event_id or answer, (self.identity, event_id, self._last_event_id, message)
            self._last_event_id = max(self._last_event_id, event_id)
        match message["type"]:
            case "participant_joined" | "participant_updated":
                self.participants[message["participant"]["participant_id"]] = message["participant"]
            case "participant_left":
                self.participants.pop(message["participant_id"])
            case "track_opened" | "track_updated":
                self.tracks[message["track"]["track"]] = message["track"]
            case "track_closed":
                self.tracks.pop(message["track"])
            case "pong":
                self._pong = int(message["sent_at_ms"])


async def vandalise(server: Server, seed: int) -> str:
    """A valid session with damaged bytes, in random pieces; how it ended: the close code, cut, or open."""
    rng = random.Random(seed)
    texts: list[dict[str, Any]] = [
        {"type": "session_start", "token": server.token(f"vandal-{rng.randrange(3)}", room="cellar")},
        {"type": "track_open", "command_id": 1},
        {"type": "mute", "command_id": 2, "muted": True},
        {"type": "message", "command_id": 3, "data": [1, {"a": None}], "to": ["vandal-0"]},
        {"type": "set_state", "command_id": 4, "attributes": {"a": "b"}, "metadata": "m" * 300},
        {"type": "subscribe", "command_id": 5, "mode": "tracks", "tracks": [0, 1]},
        {"type": "receive_report", "received": 0, "sequences": {"0": 1}},
        {"type": "ping", "sent_at_ms": 1.5},
    ]
    frames = [encode_frame(TEXT, msgspec.json.encode(text), rng.randbytes(4)) for text in texts]
    frames += [encode_frame(BINARY, Packet(rng.randrange(4), n, n, b"x" * 40).data, rng.randbytes(4)) for n in range(9)]
    frames += [encode_frame(PING, b"?", MASK), encode_frame(CLOSE, b"\x03\xe8", MASK)]
    if rng.random() < 0.5:
        body = frames[1:]
        rng.shuffle(body)
        frames[1:] = body
    data = bytearray(b"".join(frames))
    for _ in range(rng.choice((0, 1, 1, 2, 10))):
        place = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[place] ^= 1 << rng.randrange(8)
            case 1:
                del data[place : place + rng.randrange(60)]
            case 2:
                data[place:place] = rng.randbytes(rng.randrange(60))
            case _:
                data[place:place] = data[: rng.randrange(400)]
    return await _send_and_see(server, bytes(data), rng)


async def _send_and_see(server: Server, data: bytes, rng: random.Random) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    parser = FrameParser(masked=False, max_message_bytes=1 << 21)
    head = REQUEST.format(port=server.port).encode()
    try:
        writer.write(head)
        await reader.readuntil(b"\r\n\r\n")
        while data:
            size = rng.choice((1, 7, 100, 5_000))
            writer.write(data[:size])
            data = data[size:]
            if rng.random() < 0.1:
                await asyncio.sleep(0)
        if rng.random() < 0.3:
            writer.write_eof()
        async with asyncio.timeout(rng.choice((0.01, 0.1))):
            while answer := await reader.read(65_536):
                for opcode, payload in parser.feed(answer):
                    if opcode == CLOSE:
                        return str(int.from_bytes(payload[:2], "big"))
        return "cut"
    except TimeoutError:
        return "open"
    except (ConnectionError, asyncio.IncompleteReadError):
        return "cut"
    except ProtocolError as error:
        raise AssertionError("the server's own frames are wrong") from error
    finally:
        writer.transport.abort()
