"""The client's half of one session. It outlives its connections: unanswered commands are sent again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec

from roomtone.media.packet import Packet, PacketError
from roomtone.protocol.clock import ClockFilter
from roomtone.protocol.close_codes import IDLE
from roomtone.protocol.errors import ProtocolError, TooManyPending
from roomtone.protocol.messages import (
    SERVER_MESSAGE_TYPES,
    ClientMessage,
    CommandApplied,
    Error,
    Message,
    Ping,
    Pong,
    ReceiveReport,
    Resume,
    ServerMessage,
    SessionStart,
    SessionStarted,
    TrackClosed,
    TrackOpen,
    TrackOpened,
    decode_client_message,
    decode_server_message,
    encode,
)
from roomtone.protocol.reports import ReceiveLog
from roomtone.protocol.transitions import CLIENT_TRANSITIONS, ClientState, advance

MAX_PENDING_COMMANDS: Final = 256

Command = TypeVar("Command", bound=Message)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command.

    answer: CommandApplied, TrackOpened or Error; None where the command was lost with its seat, and
    nobody can tell whether it was applied.
    """

    command_id: int
    command: ClientMessage
    answer: CommandApplied | TrackOpened | Error | None


class ClientSession:
    """What to send and when, what the server's messages mean for the session itself.

    Bytes in, messages and packets out. All times are seconds of one monotonic clock; `offset_ms` leads from
    it (times 1,000) to the server's clock. Life of a connection: start_message, then receive_* and tick, then
    lost.
    """

    __slots__ = (
        "_claimed",
        "_clock",
        "_dead_timeout",
        "_heard",
        "_lost_opens",
        "_next_command_id",
        "_next_ping",
        "_outcomes",
        "_pending",
        "_ping_interval",
        "_reports",
        "_resend",
        "_state",
        "_unclaimed",
        "last_event_id",
        "participant_id",
        "resume_token",
    )

    def __init__(
        self,
        now: float,
        *,
        ping_interval_s: float = 10.0,
        dead_timeout_s: float = 25.0,
    ) -> None:
        self._state: ClientState = "idle"
        self._ping_interval = ping_interval_s
        self._dead_timeout = dead_timeout_s
        self._heard = now
        self._next_ping = now
        self._reports = ReceiveLog(now)
        self._clock = ClockFilter()
        self._next_command_id = 1
        self._pending: dict[int, ClientMessage] = {}
        self._resend: list[ClientMessage] = []
        self._outcomes: list[Outcome] = []
        # An answer to track_open may be lost with a connection, and the events replayed to a resumed client
        # name no command. So own tracks that no command claimed are kept, to be matched in order.
        self._claimed: set[int] = set()
        self._unclaimed: dict[int, TrackOpened] = {}
        self._lost_opens: list[int] = []
        self.last_event_id = 0
        self.participant_id: str | None = None
        self.resume_token: str | None = None

    # --- to the server --------------------------------------------------------------------------------------

    def start_message(
        self,
        token: str,
        room: str | None = None,
        codecs: Sequence[str] = ("opus",),
        *,
        now: float,
        **fields: Any,
    ) -> SessionStart:
        """A connection stands: the first message on it, with `resume` where there is a seat to come back to.

        fields: name, locale, voice, metadata, client, as in SessionStart.
        """
        self._state = advance(CLIENT_TRANSITIONS, self._state, "start")
        self._heard = now
        resume = None
        if self.resume_token is not None:
            resume = Resume(token=self.resume_token, last_event_id=self.last_event_id)
        return SessionStart(token=token, room=room, codecs=list(codecs), resume=resume, **fields)

    def command(self, message_type: type[Command], **fields: Any) -> Command:
        """A command with the next command_id, kept until the server answers it (see take_outcomes).

        Send it if `state` is "active"; otherwise it will be in to_resend() once the session is active.
        Raises ValueError for a field out of its range, TypeError for a wrong name, TooManyPending past 256
        unanswered commands, AssertionError when closed.
        """
        assert self._state != "closed", "a command in a closed session"
        if len(self._pending) >= MAX_PENDING_COMMANDS:
            raise TooManyPending(f"{MAX_PENDING_COMMANDS} commands wait for an answer")
        command_id = self._next_command_id
        message = message_type(command_id=command_id, **fields)
        # msgspec checks what it decodes, not what it is given: the server's checks, made here.
        self._pending[command_id] = decode_client_message(encode(message))
        self._next_command_id = command_id + 1
        return message

    def to_resend(self) -> list[ClientMessage]:
        """After session_started came: the commands to send (again) now, in order. Each is told once."""
        messages, self._resend = self._resend, []
        return messages

    def take_outcomes(self) -> list[Outcome]:
        """After each receive_text: the commands that it settled. Each is told once."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    @property
    def pending(self) -> list[int]:
        """The ids of the commands without an answer, oldest first."""
        return list(self._pending)

    # --- from the server ------------------------------------------------------------------------------------

    def heard(self, now: float) -> None:
        """Any byte came, a WebSocket ping for one. receive_text and receive_audio tell it themselves."""
        self._heard = now

    def receive_text(self, data: bytes, now: float) -> ServerMessage | None:
        """One control message, the session's own part in it already done; None for a type that this version
        does not know, which a newer server may send.

        Raises ProtocolError where it is not a message, or not one that may come now.
        """
        self._heard = now
        message = _decode(data)
        if isinstance(message, SessionStarted):
            self._state = advance(CLIENT_TRANSITIONS, self._state, "session_started")
            self._session_started(message, now)
            return message
        self._state = advance(CLIENT_TRANSITIONS, self._state, "message")
        if message is None:
            return None
        event_id: int | None = getattr(message, "event_id", None)
        if event_id is not None and event_id > self.last_event_id:
            self.last_event_id = event_id
        if isinstance(message, CommandApplied):
            if not isinstance(self._pending.get(message.command_id), TrackOpen):
                self._settle(message.command_id, message)
        elif isinstance(message, Error):
            self._settle(message.command_id, message)
        elif isinstance(message, TrackOpened):
            self._track_opened(message)
        elif isinstance(message, TrackClosed):
            self._claimed.discard(message.track)
            self._unclaimed.pop(message.track, None)
            self._reports.forget(message.track)
        elif isinstance(message, Pong):
            self._clock.add(message.sent_at_ms, message.server_time_ms, now * 1_000)
        return message

    def receive_audio(self, data: bytes, now: float) -> Packet:
        """One binary message. Raises ProtocolError where it is not an audio frame, or comes before
        session_started."""
        self._heard = now
        if self._state != "active":
            advance(CLIENT_TRANSITIONS, self._state, "audio")
        try:
            packet = Packet.decode(data)
        except PacketError as error:
            raise ProtocolError(str(error)) from error
        self._reports.note(packet.track, packet.sequence)
        return packet

    def _settle(self, command_id: int | None, answer: CommandApplied | TrackOpened | Error | None) -> None:
        if command_id is None:
            return
        command = self._pending.pop(command_id, None)
        if command is not None:
            self._outcomes.append(Outcome(command_id, command, answer))

    def _session_started(self, started: SessionStarted, now: float) -> None:
        first = self.participant_id is None
        self._next_ping = now
        self.participant_id = started.participant_id
        self.resume_token = started.resume_token
        self._reports = ReceiveLog(now, interval_s=started.limits.receive_report_interval_ms / 1_000)
        if started.resumed != "events":
            self.last_event_id = started.room.last_event_id
        if started.resumed != "new":
            self._resolve(started)
        elif not first:
            # The old seat is gone: nobody can tell what became of its commands, and the track ids in them are
            # void. Commands from before the very first session only waited for it.
            for command_id in self.pending:
                self._settle(command_id, None)
            self._claimed.clear()
            self._unclaimed.clear()
            self._lost_opens.clear()
        self._resend = [command for number, command in self._pending.items() if number > started.last_command_id]

    def _resolve(self, started: SessionStarted) -> None:
        """The seat was kept: commands up to last_command_id are done with, though their answers were lost."""
        for error in started.refused:
            self._settle(error.command_id, error)
        done = [number for number in self._pending if number <= started.last_command_id]
        opens = [number for number in done if isinstance(self._pending[number], TrackOpen)]
        for number in done:
            if not isinstance(self._pending[number], TrackOpen):
                self._settle(number, CommandApplied(command_id=number))
        if started.resumed == "snapshot":
            own = [info for info in started.room.tracks if info.participant_id == self.participant_id]
            self._claimed.intersection_update(info.track for info in own)
            self._unclaimed = {
                info.track: TrackOpened(event_id=started.room.last_event_id, track=info)
                for info in own
                if info.track not in self._claimed
            }
        self._lost_opens = opens
        while self._lost_opens and self._unclaimed:
            self._claim(self._unclaimed.pop(next(iter(self._unclaimed))))
        if started.resumed == "snapshot":  # no events follow: opened and closed again, for one
            for number in self._lost_opens:
                self._settle(number, None)
            self._lost_opens = []

    def _track_opened(self, message: TrackOpened) -> None:
        track = message.track
        if track.participant_id != self.participant_id:
            return
        if message.command_id is not None:
            self._unclaimed.pop(track.track, None)
            self._claimed.add(track.track)
            self._settle(message.command_id, message)
        elif self._lost_opens:
            self._claim(message)
        elif track.track not in self._claimed:
            self._unclaimed[track.track] = message

    def _claim(self, message: TrackOpened) -> None:
        """The track answers the oldest track_open whose own answer was lost: both are in order."""
        number = self._lost_opens.pop(0)
        self._claimed.add(message.track.track)
        self._settle(number, msgspec.structs.replace(message, command_id=number))

    # --- life -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> ClientState:
        """idle | starting | active | suspended | closed; see transitions.ClientState."""
        return self._state

    @property
    def offset_ms(self) -> float:
        """The server's clock minus this one's; 0 before the first pong."""
        return self._clock.offset_ms or 0.0

    @property
    def rtt_ms(self) -> float | None:
        """The shortest of the last eight round trips; None before the first pong."""
        return self._clock.rtt_ms

    def lost(self) -> None:
        """The connection is gone, by whatever way; the session may come back with start_message."""
        self._state = advance(CLIENT_TRANSITIONS, self._state, "lost")
        self._resend = []

    def close(self) -> None:
        """For good: commands without an answer are settled with None. May be told again."""
        self._state = advance(CLIENT_TRANSITIONS, self._state, "close")
        for command_id in self.pending:
            self._settle(command_id, None)

    def due_report(self, now: float) -> ReceiveReport | None:
        """The receive_report to send now, if it is time for one and audio came since the last."""
        return self._reports.due(now) if self._state == "active" else None

    def next_deadline(self) -> float | None:
        """When tick or due_report wants to be called at the latest; None while nothing is connected."""
        if self._state == "starting":
            return self._heard + self._dead_timeout
        if self._state != "active":
            return None
        deadline = min(self._next_ping, self._heard + self._dead_timeout)
        report = self._reports.next_deadline()
        return deadline if report is None else min(deadline, report)

    def tick(self, now: float) -> list[ClientMessage]:
        """The messages that are due: a ping, at once after session_started and then every interval.

        Raises ProtocolError (IDLE) when the connection is dead: give it up, tell lost(), connect again.
        """
        if self._state not in ("starting", "active"):
            return []
        if now >= self._heard + self._dead_timeout:
            raise ProtocolError(f"nothing came for {self._dead_timeout:g} s", IDLE)
        if self._state == "starting" or now < self._next_ping:
            return []
        self._next_ping = now + self._ping_interval
        return [Ping(sent_at_ms=now * 1_000)]


def _decode(data: bytes) -> ServerMessage | None:
    try:
        return decode_server_message(data.decode())
    except msgspec.ValidationError as error:
        if _has_unknown_type(data):
            return None
        raise ProtocolError(f"not a message of this protocol: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the message is not JSON: {error}") from error


def _has_unknown_type(data: bytes) -> bool:
    try:
        value = msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return False
    kind = value.get("type") if isinstance(value, dict) else None
    return isinstance(kind, str) and kind not in SERVER_MESSAGE_TYPES
