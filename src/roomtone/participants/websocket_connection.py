"""One WebSocket of a participant: bytes in, messages to the session and the seat; no decisions of its own.

It takes the transport over from the HTTP server right after the handshake, so that an audio frame crosses no
queue and no task of ours between the socket and the room.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from roomtone.logs import get_logger
from roomtone.participants.websocket import WebSocketParticipant
from roomtone.participants.websocket_commands import apply_command
from roomtone.participants.websocket_intake import Intake
from roomtone.participants.websocket_sender import Sender
from roomtone.protocol import messages
from roomtone.protocol.close_codes import (
    GOING_AWAY,
    INTERNAL_ERROR,
    NORMAL,
    RATE_LIMITED,
    REPLACED,
    WEBSOCKET_ERROR,
    CloseCode,
)
from roomtone.protocol.errors import CommandError, ProtocolError
from roomtone.protocol.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameParser,
    encode_close,
    encode_frame,
    parse_close,
    text_frame,
)
from roomtone.protocol.messages import MAX_MESSAGE_BYTES, SessionStart
from roomtone.protocol.server import ServerSession
from roomtone.room.errors import RoomError, SeatGone

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

log = get_logger(__name__)

CLOSE_TIMEOUT_S: Final = 1.0
"""How long the peer has to answer a close frame before the socket is cut."""
UNKNOWN_TRACK_ERROR_INTERVAL_S: Final = 1.0
"""Frames of a track that has just been closed may still be on their way: one complaint a second is enough."""
SIOCOUTQNSD: Final = 0x894B
"""linux/sockios.h: bytes in the send queue that were not sent even once."""
_REPORT: Final = b'{"type":"receive_report"'
_report_decoder: Final = msgspec.json.Decoder(messages.ReceiveReport)
_PING_FRAME: Final = encode_frame(PING, b"")


class Door(Protocol):
    """Who lets connections in: the server."""

    def new_session(self, now: float) -> ServerSession:
        """The rules for a connection that has not said anything yet."""

    def new_intake(self) -> Intake:
        """How much it may send."""

    def admit(
        self, connection: WebSocketConnection, message: SessionStart, session: ServerSession, now: float
    ) -> WebSocketParticipant:
        """Check the token, seat the newcomer (or find the seat it comes back to) and begin its session.

        Raises ProtocolError with the close code that says why not.
        """

    def later(self, errand: Callable[[], None]) -> None:
        """Run it now or, where many connections break at once, in one of the next turns of the event loop."""

    def connection_closed(self, connection: WebSocketConnection, name: str) -> None:
        """The socket is gone; `name` of a close code, or "vanished"."""

    def count_error(self, code: str) -> None:
        """A typed error was sent to a peer."""


class WebSocketConnection(asyncio.Protocol):
    """The server's end of one WebSocket, from the 101 response on."""

    __slots__ = (
        "_clock",
        "_close_deadline",
        "_closed_as",
        "_complained",
        "_door",
        "_intake",
        "_joined",
        "_look_at_session",
        "_parser",
        "_paused",
        "_pinged",
        "_sender",
        "_session",
        "_transport",
        "participant",
        "peer",
    )

    _transport: asyncio.Transport

    def __init__(self, door: Door, clock: Callable[[], float], peer: str) -> None:
        """clock: monotonic seconds, the event loop's. peer: the address, for limits and logs."""
        self.peer = peer
        self.participant: WebSocketParticipant | None = None
        self._door = door
        self._clock = clock
        self._session = door.new_session(clock())
        self._intake = door.new_intake()
        self._parser = FrameParser(masked=True, max_message_bytes=MAX_MESSAGE_BYTES)
        self._close_deadline: float | None = None
        self._closed_as: str | None = None
        self._complained = -UNKNOWN_TRACK_ERROR_INTERVAL_S
        self._joined = True
        self._paused = False
        self._sender: Sender | None = None
        self._pinged = 0.0
        self._look_at_session = 0.0

    # --- asyncio.Protocol -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        # Bytes given to a transport cannot be taken back: let it hold nothing, so that pause_writing comes as
        # soon as the kernel takes no more, and everything later waits in an outbox that can drop. For TLS one
        # byte, for asyncio's TLS transport pauses at `size >= high`: with 0 it would after every write.
        encrypted = self._transport.get_extra_info("sslcontext") is not None
        self._transport.set_write_buffer_limits(high=1 if encrypted else 0)

    def data_received(self, data: bytes) -> None:
        if self._close_deadline is not None and self._parser.error is not None:
            return
        now = self._clock()
        self._session.heard(now)
        try:
            received = self._parser.feed(data)
            if not self._intake.take_frames(len(received), now):
                raise ProtocolError("too many frames a second", RATE_LIMITED)
            for opcode, payload in received:
                if opcode == BINARY:
                    self._receive_audio(payload, now)
                elif opcode == TEXT:
                    self._receive_text(payload, now)
                else:
                    self._receive_control(opcode, payload)
            if self._parser.error is not None:
                raise self._parser.error
        except ProtocolError as error:
            self.close(error.close, str(error))
        except Exception as error:
            # The root of everything that a peer's bytes set off: one broken session must not be two.
            log.exception("session failed", peer=self.peer, error=repr(error))
            self.close(INTERNAL_ERROR)

    def eof_received(self) -> None:
        """The peer will say no more: it is gone, whatever it might still read. The transport closes itself."""
        if self._close_deadline is None:
            self._close_deadline = self._clock() + CLOSE_TIMEOUT_S
            self._lose(leave=False)

    def pause_writing(self) -> None:
        self._paused = True
        if self.participant is not None:
            self.participant.pause()

    def resume_writing(self) -> None:
        self._paused = False
        if self.participant is not None and self._close_deadline is None:
            self.participant.unpause()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lose(leave=self._closed_as in ("normal", "left"))
        if self._sender is not None:
            self._sender.close()
        if self._joined:
            self._joined = False
            self._door.connection_closed(self, self._closed_as or "vanished")

    # --- what others call -----------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Neither closed nor closing."""
        return self._close_deadline is None and not self._transport.is_closing()

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Say why, and wait a moment for the peer to close too. A second close changes nothing."""
        if self._close_deadline is not None:
            return
        now = self._clock()
        self._close_deadline = now + CLOSE_TIMEOUT_S
        self._closed_as = code.name
        text = f"{code.name}: {reason}" if reason else code.name
        self._write(encode_close(code.code, text))
        self._detach(leave=code.reconnect != "resume")

    def supersede(self) -> None:
        """The session went on over another connection.

        Mostly this one is dead and was not known to be. Where it is not, the same client came twice (a
        duplicated browser tab): told so it stays away, cut it would come back, and the two fight for ever.
        """
        self.participant = None
        self.close(REPLACED, "the session goes on over another connection")

    def abort(self) -> None:
        """Cut the socket now, whatever is still on its way."""
        if self._sender is not None:
            self._sender.reset_on_close()
        self._transport.abort()

    def unsent_bytes(self) -> int:
        """What waits in the transport and, where the system tells, in the kernel's send queue.

        SIOCOUTQNSD rather than SIOCOUTQ: what is on its way and not yet acknowledged by the peer's kernel is
        no sign of anything, since acknowledgements are delayed by up to 40 ms.
        """
        waiting = self._transport.get_write_buffer_size()
        sock = self._transport.get_extra_info("socket")
        if sock is None or fcntl is None:
            return waiting
        try:
            unsent = fcntl.ioctl(sock.fileno(), SIOCOUTQNSD, b"\0" * 4)
        except OSError:  # not Linux, or not TCP
            return waiting
        return waiting + int.from_bytes(unsent, sys.byteorder)

    def sweep(self, now: float) -> None:
        """A few times a second: timeouts, pings and freshness."""
        if self._close_deadline is not None:
            if now >= self._close_deadline:
                self.abort()
            return
        if now >= self._look_at_session:
            try:
                if self._session.tick(now):
                    self._ping(now)
            except ProtocolError as error:
                self.close(error.close, str(error))
                return
            # an answer that may be too early by now, never too late: see ServerSession.next_deadline
            self._look_at_session = self._session.next_deadline() or now
        if self.participant is not None:
            self.participant.sweep(now)

    # --- inside ---------------------------------------------------------------------------------------------

    def _receive_audio(self, payload: bytes, now: float) -> None:
        if self._close_deadline is not None:
            return
        participant = self.participant
        try:
            packet = self._session.receive_audio(payload, now)
            assert participant is not None, "an active session has a participant"
            participant.seat.publish(packet, now)
        except CommandError as error:
            self._refuse(error.code, str(error))
        except RoomError as error:
            if isinstance(error, SeatGone):
                return
            if error.code == "bad_audio":
                self._session.strike(str(error))
            if now - self._complained < UNKNOWN_TRACK_ERROR_INTERVAL_S:
                return
            self._complained = now
            self._refuse(error.code, str(error), retryable=error.retryable)

    def _receive_text(self, payload: bytes, now: float) -> None:
        if self._close_deadline is not None:
            return
        session = self._session
        if not self._intake.take_text(len(payload), now):
            raise ProtocolError("too many bytes of control messages a second", RATE_LIMITED)
        if payload.startswith(_REPORT) and self._receive_report(payload):
            return
        try:
            message = session.receive_text(payload, now)
        except CommandError as error:
            self._refuse(error.code, str(error), command_id=error.command_id)
            return
        participant = self.participant
        if participant is None:
            assert isinstance(message, SessionStart)
            self._start(message, now)
        elif message is None:
            assert session.last_duplicate is not None
            participant.send(session.answer_to(session.last_duplicate))
        elif isinstance(message, messages.Leave):
            self._closed_as = "left"
            participant.leave("left", now)
            self.close(NORMAL)
        else:
            refusal = apply_command(participant, message, now)
            if refusal is not None:
                self._door.count_error(refusal)

    def _receive_report(self, payload: bytes) -> bool:
        """The short way for what listeners send most, two a second each; False where it has to go the long way.

        Worth a special case since a server of a thousand listeners handles two thousand of them a second.
        """
        participant = self.participant
        if participant is None:
            return False
        try:
            report = _report_decoder.decode(payload)
        except msgspec.DecodeError:
            return False
        return participant.acknowledge(report.received)

    def _start(self, message: SessionStart, now: float) -> None:
        participant = self._door.admit(self, message, self._session, now)
        self._session = participant.session
        self._look_at_session = 0.0
        self._ping(now)

    def take_seat(self, participant: WebSocketParticipant) -> None:
        """The door has found the seat: from now on the participant writes here."""
        self.participant = participant
        self._sender = Sender.of(self._transport)
        send = self._sender.send if self._sender is not None else self._send_through
        participant.attach(self, self._transport.write, send)
        if self._paused:  # before it had a participant: the transport will not say so again
            participant.pause()

    def _send_through(self, frame: bytes) -> int:
        """For transports that have to see every byte (TLS, memory): they take all, and say so later."""
        self._transport.write(frame)
        return len(frame)

    def _ping(self, now: float) -> None:
        """Keeps the connection alive, and tells the round trip that a listener's acknowledgements need."""
        if self.participant is not None:
            self._pinged = now
            self.participant.send_frame(_PING_FRAME)

    def _receive_control(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            if self._close_deadline is None:
                frame = encode_frame(PONG, payload)
                if self.participant is not None:
                    self.participant.send_frame(frame)
                elif not self._paused:  # whoever reads nothing before it joins is owed no pong
                    self._write(frame)
        elif opcode == CLOSE:
            if self._close_deadline is None:
                code, _ = parse_close(payload)
                # A page that goes away (1001) leaves as one that says goodbye; other codes may come back.
                left = code in (NORMAL.code, GOING_AWAY.code)
                self._closed_as = "normal" if left else "vanished"
                self._close_deadline = self._clock() + CLOSE_TIMEOUT_S
                self._write(encode_close(NORMAL.code, ""))
                self._lose(leave=left)
            self._transport.close()
        elif opcode == PONG:
            if self.participant is not None:
                self.participant.lag.round_trip(self._clock() - self._pinged)
        else:
            raise ProtocolError(f"opcode {opcode} is not known", WEBSOCKET_ERROR)

    def _refuse(self, code: str, text: str, *, command_id: int | None = None, retryable: bool = False) -> None:
        self._door.count_error(code)
        error = messages.Error(code=code, message=text, command_id=command_id, retryable=retryable)
        if command_id is not None:
            self._session.refused(error)
        if self.participant is not None:
            self.participant.send(error)
        elif self._close_deadline is None:
            self._write(text_frame(messages.encode(error)))

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            with contextlib.suppress(RuntimeError):  # uvloop: the socket broke in this very turn
                self._transport.write(data)

    def _lose(self, *, leave: bool) -> None:
        """As _detach, for what comes from outside, and so may come from everybody at once."""
        participant, self.participant = self.participant, None
        if participant is not None and participant.let_go(self):
            self._door.later(lambda: participant.absent(self._clock(), leave=leave))

    def _detach(self, *, leave: bool) -> None:
        participant, self.participant = self.participant, None
        if participant is not None:
            participant.detach(self, self._clock(), leave=leave)
