"""The server's half of one session. It outlives its connections: a resumed session goes on where it was."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from roomtone.media.packet import Packet, PacketError
from roomtone.protocol.close_codes import IDLE, PROTOCOL_ERROR, RATE_LIMITED, START_TIMEOUT
from roomtone.protocol.errors import CommandError, ProtocolError
from roomtone.protocol.messages import (
    CLIENT_MESSAGE_TYPES,
    MAX_DATA_BYTES,
    MAX_DATA_DEPTH,
    ClientMessage,
    CommandApplied,
    Error,
    SendMessage,
    SessionStart,
    decode_client_message,
    encode_value,
)
from roomtone.protocol.rate import TokenBucket
from roomtone.protocol.transitions import SERVER_TRANSITIONS, ServerState, advance

Action = tuple[Literal["ping"]]
"""("ping",): send a WebSocket ping."""

MAX_REFUSALS: Final = 256
"""How many failed commands are remembered for a resume; a client has at most as many pending."""


class ServerSession:
    """What a client may say, when, and how often; which commands were applied; when to ping and to give up.

    Bytes in, messages and packets out. All times are seconds of one monotonic clock.
    start_timeout_s: for session_start to come. idle_timeout_s: without a byte. max_messages_per_s: control
    messages, with a burst of as many again. max_strikes: bad audio frames within one ping interval.

    duplicates counts commands that came again after they were applied; last_duplicate is the newest of them.
    """

    __slots__ = (
        "_bucket",
        "_heard",
        "_idle_timeout",
        "_max_strikes",
        "_next_ping",
        "_ping_interval",
        "_refusals",
        "_start_deadline",
        "_state",
        "_strikes",
        "duplicates",
        "last_command_id",
        "last_duplicate",
    )

    def __init__(
        self,
        now: float,
        *,
        start_timeout_s: float = 5.0,
        idle_timeout_s: float = 25.0,
        ping_interval_s: float = 10.0,
        max_messages_per_s: float = 100,
        max_strikes: int = 20,
    ) -> None:
        self._state: ServerState = "starting"
        self._heard = now
        self._start_deadline = now + start_timeout_s
        self._idle_timeout = idle_timeout_s
        self._ping_interval = ping_interval_s
        self._next_ping = now + ping_interval_s
        self._bucket = TokenBucket(now, per_s=max_messages_per_s, burst=2 * max_messages_per_s)
        self._max_strikes = max_strikes
        self._strikes = 0
        self._refusals: dict[int, Error] = {}
        self.last_command_id = 0
        self.duplicates = 0
        self.last_duplicate: int | None = None

    # --- from the peer --------------------------------------------------------------------------------------

    def heard(self, now: float) -> None:
        """Any byte came, a pong for one. receive_text and receive_audio tell it themselves."""
        self._heard = now

    def receive_text(self, data: bytes, now: float) -> ClientMessage | None:
        """One control message; None for a command that was applied already (see `last_duplicate`): answer it
        again with answer_to().

        Raises ProtocolError for what ends the session: no JSON object, a first message other than a valid
        session_start, a second session_start, too many messages. Raises CommandError, with the command's id
        where it could be read, for an unknown type ("unsupported") or bad fields ("invalid").
        """
        self._heard = now
        if self._state == "starting":
            return self._receive_start(data)
        self._state = advance(SERVER_TRANSITIONS, self._state, "message")
        if not self._bucket.take(now):
            raise ProtocolError("too many control messages a second", RATE_LIMITED)
        message = _decode(data)
        if isinstance(message, SessionStart):
            raise ProtocolError("session_start came a second time")
        command_id: int | None = getattr(message, "command_id", None)
        if command_id is not None and command_id <= self.last_command_id:
            self.duplicates += 1
            self.last_duplicate = command_id
            return None
        if isinstance(message, SendMessage):
            _check_data(message)
        return message

    def _receive_start(self, data: bytes) -> SessionStart:
        try:
            message = _decode(data)
        except CommandError as error:
            raise ProtocolError(f"the first message is not a valid session_start: {error}") from error
        if not isinstance(message, SessionStart):
            raise ProtocolError("the first message must be session_start")
        self._state = advance(SERVER_TRANSITIONS, self._state, "session_start")
        return message

    def receive_audio(self, data: bytes, now: float) -> Packet:
        """One binary message.

        Raises CommandError ("bad_audio") where it is not an audio frame, ProtocolError for the max_strikes-th
        of those within a ping interval, or while the session is not active.
        """
        self._heard = now
        if self._state != "active":
            advance(SERVER_TRANSITIONS, self._state, "audio")
        try:
            return Packet.decode(data)
        except PacketError as error:
            self.strike(str(error))
            raise CommandError("bad_audio", str(error)) from error

    def strike(self, reason: str) -> None:
        """Count one bad audio frame, also one that only the room can tell (a track that is not the sender's).

        Raises ProtocolError when there were too many.
        """
        self._strikes += 1
        if self._strikes >= self._max_strikes:
            raise ProtocolError(f"{self._strikes} bad audio frames, the last: {reason}", PROTOCOL_ERROR)

    # --- what became of commands ----------------------------------------------------------------------------

    def applied(self, command_id: int) -> None:
        """The command was carried out: it will not be handed out again."""
        self.last_command_id = max(self.last_command_id, command_id)

    def refused(self, error: Error) -> None:
        """The command that `error` names failed. It too is done with, and a resumed client is told so."""
        command_id = error.command_id
        if command_id is None:
            return
        self.applied(command_id)
        self._refusals[command_id] = error
        while len(self._refusals) > MAX_REFUSALS:
            del self._refusals[next(iter(self._refusals))]

    def answer_to(self, command_id: int) -> CommandApplied | Error:
        """The answer to a duplicate: what it was the first time."""
        return self._refusals.get(command_id) or CommandApplied(command_id=command_id)

    @property
    def refusals(self) -> list[Error]:
        """For session_started on resume: the newest failed commands, oldest first."""
        return list(self._refusals.values())

    # --- life -----------------------------------------------------------------------------------------------

    @property
    def state(self) -> ServerState:
        """starting | checking | active | suspended | closed; see transitions.ServerState."""
        return self._state

    def started(self, now: float) -> None:
        """session_started was sent."""
        self._state = advance(SERVER_TRANSITIONS, self._state, "started")
        self._alive(now)

    def suspend(self, now: float) -> None:
        """The connection is gone and the seat is kept; how long is the room's to decide."""
        self._state = advance(SERVER_TRANSITIONS, self._state, "suspend")
        self._heard = now

    def resume(self, now: float) -> None:
        """A new connection took over, whose own session only received the session_start."""
        self._state = advance(SERVER_TRANSITIONS, self._state, "resume")
        self._strikes = 0
        self._alive(now)

    def close(self) -> None:
        """For good. May be told again."""
        self._state = advance(SERVER_TRANSITIONS, self._state, "close")

    def _alive(self, now: float) -> None:
        self._heard = now
        self._next_ping = now + self._ping_interval

    def next_deadline(self) -> float | None:
        """When tick wants to be called at the latest; None while there is nothing to wait for.

        It moves with every byte that comes; ticking at an older answer does no harm.
        """
        state = self._state
        if state == "starting":
            return self._start_deadline
        if state == "checking":
            return self._heard + self._idle_timeout
        if state == "active":
            return min(self._next_ping, self._heard + self._idle_timeout)
        return None

    def tick(self, now: float) -> list[Action]:
        """What is due. Raises ProtocolError (START_TIMEOUT or IDLE) when the peer was silent for too long."""
        state = self._state
        if state == "starting":
            if now >= self._start_deadline:
                raise ProtocolError("session_start did not come in time", START_TIMEOUT)
            return []
        if state not in ("checking", "active"):
            return []
        if now >= self._heard + self._idle_timeout:
            raise ProtocolError(f"nothing came for {self._idle_timeout:g} s", IDLE)
        if state == "checking" or now < self._next_ping:
            return []
        self._strikes = 0
        self._next_ping += self._ping_interval
        if self._next_ping <= now:  # the caller slept: one ping is enough
            self._next_ping = now + self._ping_interval
        return [("ping",)]


def _decode(data: bytes) -> ClientMessage:
    try:
        # As text, so that bad UTF-8 in a field that nobody reads does not pass either.
        return decode_client_message(data.decode())
    except msgspec.ValidationError as error:
        raise _command_error(data, str(error)) from error
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the message is not JSON: {error}") from error


def _command_error(data: bytes, reason: str) -> Exception:
    """Whose fault a message is that is JSON, but not one of ours."""
    try:
        value: Any = msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:  # a number that no field of ours can hold, for one
        return ProtocolError(f"the message is not JSON: {error}")
    if not isinstance(value, dict):
        return ProtocolError("the message is not a JSON object")
    kind = value.get("type")
    if not isinstance(kind, str):
        return ProtocolError("the message has no `type`")
    command_id = value.get("command_id")
    if not isinstance(command_id, int) or isinstance(command_id, bool) or not 1 <= command_id <= 2**53:
        command_id = None
    if kind not in CLIENT_MESSAGE_TYPES:
        return CommandError("unsupported", f"`{kind[:64]}` is not a message of this protocol", command_id=command_id)
    return CommandError("invalid", f"{kind}: {reason}", command_id=command_id)


def _check_data(message: SendMessage) -> None:
    """The bounds of `data` that types cannot tell. A value that passes can be encoded again."""
    level, depth = [message.data], 0
    while level:
        if depth > MAX_DATA_DEPTH:
            raise CommandError("invalid", f"`data` is over {MAX_DATA_DEPTH} deep", command_id=message.command_id)
        inner: list[Any] = []
        for value in level:
            if isinstance(value, list):
                inner += value
            elif isinstance(value, dict):
                inner += value.values()
        level, depth = inner, depth + 1
    if len(encode_value(message.data)) > MAX_DATA_BYTES:
        raise CommandError("invalid", f"`data` has over {MAX_DATA_BYTES} bytes", command_id=message.command_id)
