"""Who is let in: limits, tokens, seats, and the way back for dropped connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from roomtone.logs import get_logger
from roomtone.media.packet import CODEC_NAMES
from roomtone.participants.websocket import FreshnessPolicy, WebSocketParticipant
from roomtone.participants.websocket_connection import WebSocketConnection
from roomtone.participants.websocket_intake import FRAMES_PER_S_OF_TRACK, Intake
from roomtone.protocol import messages
from roomtone.protocol.close_codes import BAD_TOKEN, GOING_AWAY, PROTOCOL_ERROR, ROOM_FULL, SERVER_FULL
from roomtone.protocol.errors import ProtocolError
from roomtone.protocol.messages import MAX_MESSAGE_BYTES, SessionStart
from roomtone.protocol.server import ServerSession
from roomtone.room.directory import Directory
from roomtone.room.errors import RoomError, RoomFull
from roomtone.room.options import RoomOptions
from roomtone.room.room import Room
from roomtone.server.auth import ANY_ROOM, AuthError, Claims, Keyring
from roomtone.server.config import Config

log = get_logger(__name__)

MAX_ROOM_NAME_CHARACTERS = 128


def check_room_name(name: str) -> str:
    """The name, or ValueError: 1 to 128 printable characters, no slash (it stands in URLs), no outer space."""
    if not 0 < len(name) <= MAX_ROOM_NAME_CHARACTERS or not name.isprintable() or "/" in name or name != name.strip():
        raise ValueError(f"a room's name is 1 to {MAX_ROOM_NAME_CHARACTERS} printable characters without a slash")
    return name


class Door:
    """Seats whoever comes with a good token; keeps count of connections and of why they ended."""

    def __init__(
        self,
        config: Config,
        keyring: Keyring,
        directory: Directory,
        *,
        new_token: Callable[[], str],
    ) -> None:
        self._config = config
        self._keyring = keyring
        self._directory = directory
        self._new_token = new_token
        self._policy = FreshnessPolicy(
            drop_s=config.lag_drop_ms / 1000,
            close_s=config.lag_close_ms / 1000,
            report_interval_s=config.receive_report_interval_ms / 1000,
        )
        self._limits = messages.Limits(
            max_message_bytes=MAX_MESSAGE_BYTES,
            max_tracks=config.max_tracks_per_participant,
            max_bitrate_bps=config.max_track_bitrate_bps,
            receive_report_interval_ms=config.receive_report_interval_ms,
            resume_window_ms=round(config.reconnect_grace_s * 1000),
            max_control_messages_per_s=config.max_control_messages_per_s,
        )
        self._participants: dict[str, WebSocketParticipant] = {}
        self._connections: set[WebSocketConnection] = set()
        self._per_ip: Counter[str] = Counter()
        self.closing = False
        self.closed_by_name: Counter[str] = Counter()
        self.errors_by_code: Counter[str] = Counter()
        self.refused_connections: Counter[str] = Counter()
        self.resumed_sessions = 0
        self.dropped_frames = 0

    # --- connections ----------------------------------------------------------------------------------------

    def refusal(self, peer: str) -> str | None:
        """Why no further connection from `peer` is taken; None if it is."""
        reason = None
        if self.closing:
            reason = "draining"
        elif len(self._connections) >= self._config.max_connections:
            reason = "max_connections"
        elif self._per_ip[peer] >= self._config.max_connections_per_ip:
            reason = "max_connections_per_ip"
        if reason is not None:
            self.refused_connections[reason] += 1
        return reason

    def connection_opened(self, connection: WebSocketConnection) -> None:
        """Count it; the caller asked refusal() before."""
        self._connections.add(connection)
        self._per_ip[connection.peer] += 1

    def connection_closed(self, connection: WebSocketConnection, name: str) -> None:
        """The socket is gone."""
        self._connections.discard(connection)
        self._per_ip[connection.peer] -= 1
        if self._per_ip[connection.peer] <= 0:
            del self._per_ip[connection.peer]
        self.closed_by_name[name] += 1

    def count_error(self, code: str) -> None:
        """A typed error was sent."""
        self.errors_by_code[code] += 1

    @property
    def connections(self) -> set[WebSocketConnection]:
        """All open sockets, those that have not said session_start yet included."""
        return self._connections

    def participants(self) -> Iterator[WebSocketParticipant]:
        """All who hold a seat through a WebSocket, reconnecting ones included."""
        return iter(tuple(self._participants.values()))

    # --- sessions -------------------------------------------------------------------------------------------

    def new_session(self, now: float) -> ServerSession:
        """The rules for a fresh connection."""
        return ServerSession(now, max_messages_per_s=self._config.max_control_messages_per_s)

    def new_intake(self) -> Intake:
        """How much a fresh connection may send."""
        config = self._config
        frames_per_s = config.max_tracks_per_participant * FRAMES_PER_S_OF_TRACK + config.max_control_messages_per_s
        return Intake(frames_per_s=frames_per_s, text_bytes_per_s=config.max_control_bytes_per_s)

    def admit(
        self, connection: WebSocketConnection, message: SessionStart, session: ServerSession, now: float
    ) -> WebSocketParticipant:
        """See participants.websocket_connection.Door."""
        if self.closing:
            raise ProtocolError("the server is stopping", GOING_AWAY)
        if message.resume is not None:
            participant = self._participants.get(message.resume.token)
            if participant is not None and participant.may_resume(now):
                return self._resume(connection, participant, message.resume.last_event_id, now)
            # the seat is gone: the same message starts a new session, with its own token
        claims = self._verify(message.token)
        codecs = frozenset(message.codecs) & frozenset(CODEC_NAMES)
        if not codecs:
            raise ProtocolError(f"none of the codecs is known; known: {', '.join(CODEC_NAMES)}", PROTOCOL_ERROR)
        room = self._room(claims, message.room, now)
        return self._seat(connection, message, session, claims, room, codecs, now)

    def _resume(
        self,
        connection: WebSocketConnection,
        participant: WebSocketParticipant,
        last_event_id: int,
        now: float,
    ) -> WebSocketParticipant:
        old = participant.connection
        if old is not None:  # the client noticed a dead connection before we did
            participant.detach(old, now, leave=False)
            old.supersede()
        missed = participant.seat.resume(last_event_id, now)
        participant.session.resume(now)
        connection.take_seat(participant)
        participant.begin(self._limits, now, missed=missed, resumed=True)
        self.resumed_sessions += 1
        log.info("session resumed", identity=participant.seat.identity, room=participant.seat.room.name)
        return participant

    def _verify(self, token: str) -> Claims:
        try:
            return self._keyring.verify(token)
        except AuthError as error:
            raise ProtocolError(str(error), BAD_TOKEN) from error

    def _room(self, claims: Claims, asked: str | None, now: float) -> Room:
        if claims.room is None:
            raise ProtocolError("the token names no room", BAD_TOKEN)
        if claims.room == ANY_ROOM:
            if asked is None:
                raise ProtocolError("the token opens any room: say which (`room`)", PROTOCOL_ERROR)
            name = asked
        else:
            name = claims.room
            if asked not in (None, name):
                raise ProtocolError(f"the token is for another room than {asked!r}", BAD_TOKEN)
        room = self._directory.get(name)
        if room is not None:
            return room
        if not (self._config.auto_create_rooms or claims.grants.room_create):
            raise ProtocolError(f"there is no room {name!r}, and the token may not create it", BAD_TOKEN)
        try:
            return self._directory.open(check_room_name(name), self.room_options(), now)
        except ValueError as error:
            raise ProtocolError(str(error), PROTOCOL_ERROR) from error
        except RoomError as error:
            raise ProtocolError(str(error), SERVER_FULL) from error

    def room_options(self) -> RoomOptions:
        """What a room is like where nobody says otherwise."""
        config = self._config
        return RoomOptions(
            capacity=config.max_participants_per_room,
            max_tracks_per_participant=config.max_tracks_per_participant,
            empty_timeout_s=config.empty_room_timeout_s,
            reconnect_grace_s=config.reconnect_grace_s,
            max_bitrate_bps=config.max_track_bitrate_bps,
        )

    def _seat(
        self,
        connection: WebSocketConnection,
        message: SessionStart,
        session: ServerSession,
        claims: Claims,
        room: Room,
        codecs: frozenset[str],
        now: float,
    ) -> WebSocketParticipant:
        participant = WebSocketParticipant(session, self._policy, self._new_token(), self._forget)
        try:
            participant.seat = room.join(
                participant,
                claims.identity,
                claims.grants,
                now,
                name=claims.name or message.name,
                kind="agent" if claims.grants.agent else "person",
                metadata=claims.metadata or message.metadata,
                codecs=codecs,
            )
        except RoomFull as error:
            raise ProtocolError(str(error), ROOM_FULL) from error
        self._participants[participant.resume_token] = participant
        connection.take_seat(participant)
        session.started(now)
        participant.begin(self._limits, now, missed=None, resumed=False)
        log.info("session started", identity=claims.identity, room=room.name, client=message.client)
        return participant

    def _forget(self, participant: WebSocketParticipant) -> None:
        gone = self._participants.pop(participant.resume_token, None)
        if gone is not None:
            self.dropped_frames += participant.dropped_frames
            participant.session.close()
