"""Keeps one session alive over changing connections: connect, start, receive, resume, back off."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from roomtone.client.errors import (
    BadToken,
    CommandLost,
    CommandRefused,
    ConnectError,
    NotInRoom,
    ProtocolFailure,
    connect_error,
)
from roomtone.client.outgoing import Outgoing
from roomtone.client.transport import Connector, Transport, TransportClosed
from roomtone.client.uplink import Uplink
from roomtone.media.packet import Packet
from roomtone.protocol.backoff import Backoff
from roomtone.protocol.client import ClientSession, Outcome
from roomtone.protocol.close_codes import IDLE, reconnect_advice
from roomtone.protocol.errors import ProtocolError, TooManyPending
from roomtone.protocol.messages import (
    CommandApplied,
    Draining,
    Error,
    Leave,
    Message,
    ReceiveReport,
    ServerMessage,
    SessionStarted,
    TrackOpened,
    encode,
)

TokenProvider = Callable[[], "str | Awaitable[str]"]
Answer = CommandApplied | TrackOpened

LEAVE_TIMEOUT_S: Final = 2.0
_UPLINK_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Introduction:
    """What every connection of the session begins with; see messages.SessionStart."""

    token: str | TokenProvider
    room: str | None = None
    codecs: tuple[str, ...] = ("opus",)
    name: str = ""
    metadata: str = ""
    client: str = ""


class LinkListener(Protocol):
    """Whom a Link tells what happens. Called from its task; never awaits, never raises."""

    def on_started(self, message: SessionStarted) -> None:
        """A session began or was resumed; `message.resumed` says which."""

    def on_message(self, message: ServerMessage) -> None:
        """Any other control message."""

    def on_packet(self, packet: Packet, now: float) -> None:
        """One frame of audio."""

    def on_suspended(self, error: ConnectError) -> None:
        """The connection is lost; the link tries to come back."""

    def on_ended(self, error: ConnectError | None) -> None:
        """It is over for good; None after a leave of one's own."""


class Link:
    """One session. start() once, then leave() once; everything that was started ends there.

    reconnects: how often a session went on over a new connection. received_frames: audio frames, in all.
    """

    def __init__(
        self,
        connector: Connector,
        introduction: Introduction,
        listener: LinkListener,
        *,
        reconnect: bool = True,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._connector = connector
        self._introduction = introduction
        self._listener = listener
        self._reconnect = reconnect
        self._uniform = uniform
        self._loop = asyncio.get_running_loop()
        self._backoff = Backoff(uniform)
        self._transport: Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._drain_timer: asyncio.TimerHandle | None = None
        self._uplink_timer: asyncio.TimerHandle | None = None
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        self._task: asyncio.Task[None] | None = None
        self._joined: asyncio.Future[None] = self._loop.create_future()
        self._leaving = False
        self._left = False
        self._url: str | None = None
        self._outgoing = Outgoing(self._send_text)
        self.session: Final = ClientSession(self._loop.time())
        self.uplink: Final = Uplink()
        self.reconnects = 0
        self.received_frames = 0

    # --- life -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect and begin the session. Raises ConnectError; nothing is left behind then."""
        self._task = self._loop.create_task(self._run(), name="roomtone-link")
        try:
            await asyncio.shield(self._joined)
        except BaseException:
            self._leaving = True  # a caller that gave up keeps no seat: the server may have given one already
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            raise

    async def leave(self) -> None:
        """Give the seat back and close everything. May be called again."""
        task = self._task
        if task is None or self._leaving:
            return
        self._leaving = True
        try:
            if self._transport is not None and self.session.state == "active":
                self._left = True
                self._send(Leave())
                await asyncio.wait({task}, timeout=LEAVE_TIMEOUT_S)
        finally:
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    @property
    def buffered_bytes(self) -> int:
        """What the connection has not taken yet."""
        return self._transport.buffered_bytes if self._transport is not None else 0

    # --- sending --------------------------------------------------------------------------------------------

    def request(self, message_type: type[Message], **fields: Any) -> asyncio.Future[Answer]:
        """Send a command, now or as soon as the session is back; the future holds its answer.

        The future raises CommandRefused, CommandLost (nobody knows whether it was applied) or NotInRoom.
        Raises NotInRoom, CommandRefused for too many commands at once, ValueError for a field out of range.
        """
        if self.session.state == "closed":
            raise NotInRoom("the room was left")
        try:
            message = self.session.command(message_type, **fields)
        except TooManyPending as error:
            raise CommandRefused("limit_reached", str(error), retryable=True) from error
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._waiting[self.session.pending[-1]] = future
        if self.session.state == "active":
            self._outgoing.put(message)
        return future

    def tell(self, message: Message) -> None:
        """Send a message that is no command; it is lost while the connection is."""
        if self.session.state == "active":
            self._outgoing.put(message)

    def send_packet(self, packet: Packet, ticks: int) -> None:
        """One frame of audio, `ticks` long at 48 kHz; while the connection takes none, the oldest go."""
        self.uplink.push(packet, ticks)
        self._pump_uplink()

    def _pump_uplink(self) -> None:
        transport = self._transport
        uplink = self.uplink
        if transport is not None and self.session.state == "active":
            now = self._loop.time()
            for packet in uplink.take(now, transport.buffered_bytes, (self.session.rtt_ms or 0.0) / 1_000):
                transport.send(packet.data, binary=True)
                uplink.handed(len(packet.data), now)
        if uplink.waiting and self._uplink_timer is None:
            self._uplink_timer = self._loop.call_later(_UPLINK_POLL_S, self._poll_uplink)

    def _poll_uplink(self) -> None:
        self._uplink_timer = None
        if self.session.state == "active":
            self._pump_uplink()

    def _send(self, message: Message) -> None:
        self._send_text(encode(message))

    def _send_text(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.send(data, binary=False)
            self.uplink.handed(len(data), self._loop.time())

    # --- the task -------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        error: ConnectError | None = None
        try:
            error = await self._keep_connected()
        except asyncio.CancelledError:
            raise
        except Exception as unexpected:
            error = ProtocolFailure(f"{type(unexpected).__name__}: {unexpected}")
            error.__cause__ = unexpected
        finally:
            self._finish(None if self._leaving else error)
            await self._connector.close()

    async def _keep_connected(self) -> ConnectError | None:
        while True:
            try:
                closed = await self._one_connection()
            except BadToken as failure:
                if not self._joined.done():
                    return failure
                closed = TransportClosed(None, str(failure))
            if self._leaving:
                return None
            error = connect_error(closed.code, closed.reason)
            if not self._joined.done():
                return error
            if not self._reconnect or reconnect_advice(closed.code) == "never":
                return error
            self._listener.on_suspended(error)
            await asyncio.sleep(self._backoff.delay_s(self._loop.time()))

    async def _one_connection(self) -> TransportClosed:
        """Connect, and serve the connection until it ends; how it ended."""
        try:
            token = await self._token()
            transport = await self._connector.open(self._url)
        except TransportClosed as closed:
            self._url = None  # where a draining server had sent us, nobody answers: back to the usual address
            return closed
        self._transport = transport
        code = 1000
        graceful = False
        try:
            self._begin(token)
            return await self._receive(transport)
        except ProtocolError as error:
            graceful = True
            code = error.close.code
            return TransportClosed(None if error.close is IDLE else code, str(error))
        except asyncio.CancelledError:
            graceful = self._leaving
            if graceful and not self._left:
                self._send(Leave())
            raise
        finally:
            self._transport = None
            self._stop_timers()
            self.session.lost()
            if not graceful:
                transport.abort()
            await transport.close(code)

    async def _token(self) -> str:
        provider = self._introduction.token
        if isinstance(provider, str):
            return provider
        try:
            token = provider()
            return token if isinstance(token, str) else await token
        except Exception as error:
            raise BadToken(f"the token provider failed: {type(error).__name__}: {error}") from error

    def _begin(self, token: str) -> None:
        hello = self._introduction
        now = self._loop.time()
        start = self.session.start_message(
            token,
            hello.room,
            hello.codecs,
            now=now,
            name=hello.name,
            metadata=hello.metadata,
            client=hello.client,
        )
        self._send(start)
        self._arm()

    async def _receive(self, transport: Transport) -> TransportClosed:
        loop_time = self._loop.time
        session = self.session
        while True:
            try:
                data = await transport.receive()
            except TransportClosed as closed:
                return closed
            now = loop_time()
            if isinstance(data, bytes):
                packet = session.receive_audio(data, now)
                self.received_frames += 1
                self._listener.on_packet(packet, now)
                deadline = session.next_deadline()
                if deadline is not None and deadline < self._timer_at:
                    self._arm()
            else:
                self._receive_text(data.encode(), now)

    def _receive_text(self, data: bytes, now: float) -> None:
        session = self.session
        message = session.receive_text(data, now)
        if isinstance(message, SessionStarted):
            self._started(message)
        for outcome in session.take_outcomes():
            self._settle(outcome)
        if isinstance(message, ReceiveReport):
            self.uplink.acknowledge(message.sequences)
            self._pump_uplink()
        elif isinstance(message, Draining):
            self._draining(message)
        if message is not None and not isinstance(message, SessionStarted):
            self._listener.on_message(message)

    def _started(self, message: SessionStarted) -> None:
        self._backoff.reset()
        self.uplink.restart(message.limits.receive_report_interval_ms / 1_000)
        self._outgoing.obey(message.limits.max_control_messages_per_s)
        if self._joined.done():
            self.reconnects += 1
        for command in self.session.to_resend():
            self._outgoing.put(command)
        self._listener.on_started(message)
        if not self._joined.done():
            self._joined.set_result(None)
        self._tick()

    def _settle(self, outcome: Outcome) -> None:
        future = self._waiting.pop(outcome.command_id, None)
        if future is None or future.done():
            return
        answer = outcome.answer
        if isinstance(answer, Error):
            future.set_exception(CommandRefused(answer.code, answer.message, retryable=answer.retryable))
        elif answer is None:
            lost: Exception = NotInRoom("the room was left") if self.session.state == "closed" else CommandLost()
            future.set_exception(lost)
        else:
            future.set_result(answer)

    def _draining(self, message: Draining) -> None:
        """Move to the address that the server names, each client at its own moment; else await the close."""
        if message.url is None or not self._reconnect or self._drain_timer is not None:
            return
        self._url = message.url
        delay = self._uniform() * min(message.deadline_ms / 2_000, 1.0)
        self._drain_timer = self._loop.call_later(delay, self._abort)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, error: ConnectError | None) -> None:
        self._stop_timers()
        self.session.close()
        for outcome in self.session.take_outcomes():
            self._settle(outcome)
        if not self._joined.done():
            self._joined.set_exception(error or NotInRoom("the connection attempt was given up"))
            self._joined.exception()  # start() may be gone already
        self._listener.on_ended(error)

    # --- timers ---------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.session.next_deadline()
        self._timer_at = deadline if deadline is not None else float("inf")
        if deadline is not None:
            self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        try:
            for message in self.session.tick(now):
                self._send(message)
        except ProtocolError:  # nothing came for too long
            self._abort()
            return
        report = self.session.due_report(now)
        if report is not None:
            self._send(report)
        self._arm()

    def _stop_timers(self) -> None:
        for timer in (self._timer, self._drain_timer, self._uplink_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._drain_timer = self._uplink_timer = None
        self._outgoing.stop()
