"""A client and a server session against each other, over a seeded wire that cuts anywhere.

The server's room is the smallest that can be told from outside: it applies commands, logs events and keeps one
seat. Every byte goes through real framing, in pieces of random sizes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import msgspec

from roomtone.media.packet import Codec, Packet
from roomtone.protocol.client import ClientSession, Outcome
from roomtone.protocol.errors import CommandError
from roomtone.protocol.frames import BINARY, TEXT, FrameParser, encode_frame
from roomtone.protocol.messages import (
    MAX_MESSAGE_BYTES,
    MAX_SERVER_MESSAGE_BYTES,
    ClientMessage,
    CommandApplied,
    Error,
    Limits,
    Message,
    Moderate,
    Mute,
    RoomMessage,
    RoomSnapshot,
    SendMessage,
    SessionStart,
    SessionStarted,
    TrackInfo,
    TrackOpen,
    TrackOpened,
    encode,
)
from roomtone.protocol.sender import TrackSender
from roomtone.protocol.server import ServerSession

LIMITS = Limits(
    max_message_bytes=MAX_MESSAGE_BYTES,
    max_tracks=8,
    max_bitrate_bps=64_000,
    receive_report_interval_ms=500,
    resume_window_ms=30_000,
)


@dataclass
class Connection:
    """One WebSocket: bytes on the way in both directions, and both parsers."""

    to_server: bytearray = field(default_factory=bytearray)
    to_client: bytearray = field(default_factory=bytearray)
    at_server: FrameParser = field(
        default_factory=lambda: FrameParser(masked=True, max_message_bytes=MAX_MESSAGE_BYTES)
    )
    at_client: FrameParser = field(
        default_factory=lambda: FrameParser(masked=False, max_message_bytes=MAX_SERVER_MESSAGE_BYTES)
    )


class Room:
    """The server's side: one seat, its session, what was done and what was told."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.session: ServerSession | None = None
        self.newcomer: ServerSession | None = None
        self.token = ""
        self.applied: list[int] = []
        self.failed: list[int] = []
        self.tracks: list[TrackInfo] = []
        self.log: list[TrackOpened | RoomMessage] = []
        self.heard: list[Packet] = []
        # Whether the owner of a new track is told the room's event too, beside the answer: either may be.
        self.tells_owner = rng.random() < 0.5

    @property
    def last_event_id(self) -> int:
        return len(self.log)

    def connected(self, now: float) -> None:
        self.newcomer = ServerSession(now)

    def receive(self, opcode: int, payload: bytes, now: float) -> list[Message]:
        """What is sent in answer."""
        if self.newcomer is not None:
            start = self.newcomer.receive_text(payload, now)
            assert isinstance(start, SessionStart)
            return self.seat(start, now)
        assert self.session is not None
        if opcode == BINARY:
            self.heard.append(self.session.receive_audio(payload, now))
            return []
        try:
            message = self.session.receive_text(payload, now)
        except CommandError as error:
            refusal = Error(code=error.code, message=str(error), command_id=error.command_id)
            self.session.refused(refusal)
            return [refusal]
        if message is None:
            assert self.session.last_duplicate is not None
            return [self.session.answer_to(self.session.last_duplicate)]
        return self.apply(message)

    def seat(self, start: SessionStart, now: float) -> list[Message]:
        newcomer, self.newcomer = self.newcomer, None
        assert newcomer is not None
        resumed = "new"
        missed: list[TrackOpened | RoomMessage] = []
        if start.resume is not None and start.resume.token == self.token and self.session is not None:
            resumed = self.rng.choice(["events", "snapshot"])
            self.session.resume(now)
            if resumed == "events":
                missed = self.log[start.resume.last_event_id :]
        else:
            self.session = newcomer
            newcomer.started(now)
            self.tracks.clear()
            # One token a seat: if it changed with every resume, a session_started that is lost would lose the seat.
            self.token = f"rt_{self.rng.random()}"
        answer = SessionStarted(
            participant_id="pa_1",
            identity="ada",
            resume_token=self.token,
            room=RoomSnapshot(name="lobby", last_event_id=self.last_event_id, tracks=list(self.tracks)),
            limits=LIMITS,
            server_time_ms=now * 1_000,
            resumed=resumed,  # type: ignore[arg-type]
            last_command_id=self.session.last_command_id,
            refused=self.session.refusals,
        )
        return [answer, *missed]

    def apply(self, message: ClientMessage) -> list[Message]:
        assert self.session is not None
        if isinstance(message, Moderate):
            self.failed.append(message.command_id)
            refusal = Error(code="not_permitted", message="no", command_id=message.command_id)
            self.session.refused(refusal)
            return [refusal]
        if isinstance(message, TrackOpen):
            self.session.applied(message.command_id)
            self.applied.append(message.command_id)
            track = TrackInfo(track=len(self.tracks), participant_id="pa_1", codec="opus", name=message.name)
            self.tracks.append(track)
            event = TrackOpened(event_id=self.last_event_id + 1, track=track)
            self.log.append(event)
            answer = msgspec.structs.replace(event, command_id=message.command_id)
            return [event, answer] if self.tells_owner else [answer]
        if isinstance(message, Mute | SendMessage):
            self.session.applied(message.command_id)
            self.applied.append(message.command_id)
            return [CommandApplied(command_id=message.command_id)]
        return []

    def say(self, text: str) -> RoomMessage:
        """An event of the room, from somebody else."""
        event = RoomMessage(event_id=self.last_event_id + 1, sender="bo", data=text)
        self.log.append(event)
        return event


class Pair:
    """Both sides and the wire. `seats_expire`: whether a reconnect may find its seat gone."""

    def __init__(self, seed: int, *, seats_expire: bool = False) -> None:
        self.rng = random.Random(seed)
        self.now = 100.0
        self.seats_expire = seats_expire
        self.room = Room(self.rng)
        self.client = ClientSession(self.now)
        self.wire: Connection | None = None
        self.outcomes: dict[int, Outcome] = {}
        self.told: list[str] = []
        self.heard: list[Packet] = []
        self.up = TrackSender(1, Codec.OPUS, sequence=65_000)
        self.down = TrackSender(2, Codec.OPUS, sequence=65_000)
        self.cuts = 0

    # --- what may happen ------------------------------------------------------------------------------------

    def step(self) -> None:
        """One random thing."""
        self.now += self.rng.random() * 0.2
        roll = self.rng.random()
        if self.wire is None:
            self.connect() if roll < 0.5 else self.command()
        elif roll < 0.02:
            self.cut()
        elif roll < 0.2:
            self.command()
        elif roll < 0.3:
            self.audio()
        elif roll < 0.35 and self.room.session is not None and self.room.newcomer is None:
            event = self.room.say(f"{self.room.last_event_id + 1}")
            self.send_to_client([event])
        else:
            self.carry(self.rng.randrange(1, 400))

    def settle(self) -> None:
        """A wire that holds, until nothing moves."""
        if self.wire is None:
            self.connect()
        assert self.wire is not None
        while self.wire.to_server or self.wire.to_client:
            self.carry(1_000)

    def connect(self) -> None:
        if self.seats_expire and self.rng.random() < 0.2:
            self.room.session = None
        self.wire = Connection()
        self.room.connected(self.now)
        self.send_to_server(encode(self.client.start_message("t", "lobby", now=self.now)))

    def cut(self) -> None:
        """Whatever is on the way is lost; the server may notice at once, or only at the resume."""
        self.cuts += 1
        self.wire = None
        self.client.lost()
        self.room.newcomer = None
        session = self.room.session
        if session is not None and session.state == "active" and self.rng.random() < 0.5:
            session.suspend(self.now)

    def command(self) -> None:
        kind = self.rng.choice([Mute, SendMessage, Moderate, TrackOpen])
        number = max([*self.outcomes, *self.client.pending, 0]) + 1
        message: Message
        if kind is Mute:
            message = self.client.command(Mute, muted=True)
        elif kind is SendMessage:
            message = self.client.command(SendMessage, data={"text": "x" * self.rng.randrange(300)})
        elif kind is Moderate:
            message = self.client.command(Moderate, action="mute", identity="bo")
        else:
            message = self.client.command(TrackOpen, name=f"{number}")
        if self.client.state == "active":
            self.send_to_server(encode(message))

    def audio(self) -> None:
        assert self.wire is not None
        if self.client.state != "active":
            return
        payload = self.rng.randbytes(self.rng.randrange(1, 200))
        packet = self.up.packet(payload, 960)
        self.wire.to_server += encode_frame(BINARY, packet.data, self.rng.randbytes(4))
        self.wire.to_client += self.down.packet(payload, 960).frame

    # --- the wire -------------------------------------------------------------------------------------------

    def send_to_server(self, payload: bytes) -> None:
        assert self.wire is not None
        self.wire.to_server += encode_frame(TEXT, payload, self.rng.randbytes(4))

    def send_to_client(self, messages: list[Message] | list[RoomMessage]) -> None:
        assert self.wire is not None
        for message in messages:
            self.wire.to_client += encode_frame(TEXT, encode(message))

    def carry(self, size: int) -> None:
        """Up to `size` bytes in one direction, and all that follows from them."""
        wire = self.wire
        assert wire is not None
        if wire.to_server and (not wire.to_client or self.rng.random() < 0.5):
            data = bytes(wire.to_server[:size])
            del wire.to_server[:size]
            for opcode, payload in wire.at_server.feed(data):
                self.send_to_client(self.room.receive(opcode, payload, self.now))
            return
        data = bytes(wire.to_client[:size])
        del wire.to_client[:size]
        for opcode, payload in wire.at_client.feed(data):
            self.client_receives(opcode, payload)

    def client_receives(self, opcode: int, payload: bytes) -> None:
        if opcode == BINARY:
            self.heard.append(self.client.receive_audio(payload, self.now))
            return
        message = self.client.receive_text(payload, self.now)
        if isinstance(message, RoomMessage):
            self.told.append(message.data)
        for command in self.client.to_resend():
            self.send_to_server(encode(command))
        for outcome in self.client.take_outcomes():
            assert outcome.command_id not in self.outcomes, "a command was settled twice"
            self.outcomes[outcome.command_id] = outcome
