"""A person or program behind a WebSocket: the seat's side.

A WebSocketParticipant outlives its connections: while a dropped one may still come back, the seat stays and the
room's log holds what it misses. Audio is written straight to the transport while that takes it, else queued in
a bounded outbox; how far the listener is behind is judged by what it acknowledged (websocket_lag.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from roomtone.media.packet import Packet
from roomtone.participants.websocket_events import event_frame, track_info
from roomtone.participants.websocket_lag import Lag
from roomtone.participants.websocket_welcome import replay_frames, snapshot_frames
from roomtone.protocol import messages
from roomtone.protocol.close_codes import REMOVED, REPLACED, ROOM_CLOSED, TOO_SLOW, CloseCode
from roomtone.protocol.frames import text_frame
from roomtone.protocol.messages import Message
from roomtone.protocol.server import ServerSession
from roomtone.room import events
from roomtone.room.events import LeaveReason, RoomEvent
from roomtone.room.outbox import Outbox
from roomtone.room.seat import Seat
from roomtone.room.track import Track

if TYPE_CHECKING:
    from roomtone.participants.websocket_connection import WebSocketConnection

LOOK_INTERVAL_S: Final = 0.25
"""How often the server looks at each connection."""
BEHIND_AUDIO_LIMIT_MS: Final = 200
"""What is kept for a listener that is behind, for the moment in which it reads again: the newest, no more."""
RECOVERED_AFTER_S: Final = 5.0
"""A weak listener is trusted with everything again after keeping up for so long."""
REMOVED_AS: Final[dict[LeaveReason, CloseCode]] = {
    "replaced": REPLACED,
    "removed": REMOVED,
    "room_closed": ROOM_CLOSED,
    "too_slow": TOO_SLOW,
    "timed_out": TOO_SLOW,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshnessPolicy:
    """When a listener is behind, in seconds of age of its oldest unacknowledged audio."""

    drop_s: float = 1.0
    close_s: float = 10.0
    report_interval_s: float = 0.5


def _nowhere(data: bytes) -> None:
    """Where a participant without a connection writes."""


def _all_nowhere(data: bytes) -> int:
    """Where a participant without a connection sends."""
    return len(data)


class WebSocketParticipant:
    """Sits in a room for whoever holds the connection. `seat` is set by the door, right after joining."""

    __slots__ = (
        "_behind",
        "_connection",
        "_good_since",
        "_on_gone",
        "_outbox",
        "_policy",
        "_quality",
        "_send",
        "_through",
        "_told",
        "_writable",
        "_write",
        "dropped_frames",
        "lag",
        "opened_by",
        "resume_token",
        "seat",
        "sent",
        "session",
    )

    seat: Seat

    def __init__(
        self,
        session: ServerSession,
        policy: FreshnessPolicy,
        resume_token: str,
        on_gone: Callable[[WebSocketParticipant], None],
    ) -> None:
        """on_gone is called once, when the seat is lost for good: the door forgets the resume token."""
        self.session = session
        self.resume_token = resume_token
        self.lag = Lag()
        self.sent = 0
        self.dropped_frames = 0
        self.opened_by: dict[int, int] = {}
        """The command that opened each of this participant's tracks."""
        self._policy = policy
        self._on_gone = on_gone
        self._connection: WebSocketConnection | None = None
        self._outbox: Outbox | None = None
        self._write: Callable[[bytes], None] = _nowhere
        self._send: Callable[[bytes], int] = _all_nowhere
        self._writable = False
        self._through = False
        self._behind = False
        self._good_since = 0.0
        self._quality: messages.Quality = "good"
        self._told: dict[int, int] = {}

    # --- what the room calls --------------------------------------------------------------------------------

    def deliver(self, packet: Packet, now: float) -> None:
        """One frame to hear: given to the kernel at once while the listener keeps up."""
        if self._through:
            frame = packet.frame
            self.sent += 1
            try:
                taken = self._send(frame)
            except BlockingIOError:
                taken = 0
            except (OSError, RuntimeError):  # the socket broke in this very turn, connection_lost comes next
                self._through = False
                return
            if taken != len(frame):  # the kernel is full: the transport keeps the rest, and pauses us for what follows
                self._give_to_transport(frame[taken:])
        elif self._connection is None:
            self.dropped_frames += 1
        else:
            self._queue_audio(packet)

    def notify(self, event: RoomEvent, now: float) -> None:
        """Something happened in the room. A suspended participant gets it from the room's log on its return."""
        if isinstance(event, events.Removed):
            self._removed(event.reason, now)
            return
        if isinstance(event, events.TrackFlushed) and self._outbox is not None:
            self.dropped_frames += self._outbox.flush_track(event.track, event.from_sequence)
        if self._connection is not None:
            self.send_frame(event_frame(event))

    # --- what the connection calls --------------------------------------------------------------------------

    def attach(
        self, connection: WebSocketConnection, write: Callable[[bytes], None], send: Callable[[bytes], int]
    ) -> None:
        """A connection takes this seat; it starts with an empty outbox and fresh acknowledgements.

        write: the transport's, which takes all and tells to pause where the kernel did not. send: gives to the
        kernel what it takes at once, and says how many bytes that was; called only while the transport is empty.
        """
        self._connection = connection
        self._outbox = None
        self._write = write
        self._send = send
        self._writable = True
        self._behind = False
        self._through = True
        self._quality = "good"
        self.lag = Lag()
        self.sent = 0
        self._told = {}

    def detach(self, connection: WebSocketConnection, now: float, *, leave: bool) -> None:
        """The connection is gone: keep the seat for the grace time, or leave it."""
        if self.let_go(connection):
            self.absent(now, leave=leave)

    def let_go(self, connection: WebSocketConnection) -> bool:
        """The first half of detach: nothing is written any more. False if it was not this connection's."""
        if self._connection is not connection:
            return False
        self._connection = None
        self._write = _nowhere
        self._send = _all_nowhere
        self._writable = self._through = False
        if self._outbox is not None:
            self.dropped_frames += self._outbox.drop_audio()
            self._outbox = None
        return True

    def absent(self, now: float, *, leave: bool) -> None:
        """The second half, which tells the whole room: nothing where the client is back by then, or gone."""
        if self._connection is not None or self.seat.gone:
            return
        if leave:
            self.leave("left", now)
        else:
            self.session.suspend(now)
            self.seat.suspend(now)

    def leave(self, reason: LeaveReason, now: float) -> None:
        """Give up the seat for good."""
        if not self.seat.gone:
            self.seat.leave(now, reason)
        self._on_gone(self)

    def may_resume(self, now: float) -> bool:
        """The seat is still kept: also not past its grace time in the moment before the room's next tick."""
        until = self.seat.suspended_until
        return not self.seat.gone and (until is None or now < until)

    @property
    def connection(self) -> WebSocketConnection | None:
        """None while the participant is reconnecting."""
        return self._connection

    def send(self, message: Message) -> None:
        """One control message to this client alone."""
        self.send_frame(text_frame(messages.encode(message)))

    def send_frame(self, frame: bytes) -> None:
        """A ready-made control frame. Control is never dropped: too much of it ends the connection."""
        connection = self._connection
        if connection is None:
            return
        if not connection.is_open:  # broken in this very turn of the loop: what it misses is told on its return
            self._through = self._writable = False
            return
        outbox = self._outbox
        if self._writable and (outbox is None or not outbox.control_events):
            self._give_to_transport(frame)
            return
        if not self._ensure_outbox().push_control(frame):
            connection.close(TOO_SLOW, "control messages piled up")

    def pause(self) -> None:
        """The transport takes no more for now."""
        self._writable = self._through = False

    def unpause(self) -> None:
        """The transport takes data again: send what waited, oldest first."""
        self._writable = True
        self._drain()

    # --- freshness ------------------------------------------------------------------------------------------

    def acknowledge(self, received: int) -> bool:
        """False where the listener claims more than was sent."""
        return self.lag.acknowledge(received, self.sent)

    def sweep(self, now: float) -> None:
        """Each LOOK_INTERVAL_S: judge the lag, tell the publisher what arrived of its tracks."""
        connection = self._connection
        if connection is None or self.seat.gone:
            return
        lag = self.lag
        sent = self.sent
        if sent != lag.received or self._good_since or self._quality != "good":
            if not lag.reported and not connection.unsent_bytes():
                lag.acknowledge_unreported(sent)
            self._judge(lag.look(sent, now), now)
        if self.seat.tracks:
            self._tell_uplink()

    def _judge(self, age: float, now: float) -> None:
        policy = self._policy
        connection = self._connection
        assert connection is not None
        if age > policy.close_s:
            connection.close(TOO_SLOW, f"audio lay unread for {age:.1f} s")
            return
        # the age is counted from the look after the frame was sent: it is half a look older in the mean
        if age > policy.drop_s - LOOK_INTERVAL_S / 2:
            self._good_since = now
            if not self._behind:
                self._fall_behind(now)
        elif self._behind and age < policy.drop_s / 2:
            self._behind = False
            self._good_since = now
            self._drain()
        elif not self._behind and self._good_since and now - self._good_since > RECOVERED_AFTER_S:
            self._good_since = 0.0
            self.seat.set_weak(False, now)
        self._tell_quality(age)

    def _fall_behind(self, now: float) -> None:
        self._behind, self._through = True, False
        if self._outbox is not None:
            self.dropped_frames += self._outbox.limit_audio(BEHIND_AUDIO_LIMIT_MS)
        self.seat.set_weak(True, now)

    def _tell_quality(self, age: float) -> None:
        policy = self._policy
        # a healthy listener's oldest note is up to one report and one look old
        late = max(0.0, age - 1.5 * policy.report_interval_s)
        quality: messages.Quality = "poor" if self._behind else "fair" if late or self._good_since else "good"
        if quality != self._quality:
            self._quality = quality
            self.send(messages.ConnectionQuality(quality=quality, lag_ms=round(age * 1000)))

    def _tell_uplink(self) -> None:
        tracks = self.seat.tracks
        if not tracks:
            return
        last = {track.id: track.last_sequence for track in tracks.values() if track.last_sequence is not None}
        news = {track: sequence for track, sequence in last.items() if self._told.get(track) != sequence}
        if news:
            self._told = last  # closed tracks are forgotten: a participant may open and close them for ever
            self.send(messages.ReceiveReport(sequences=news))

    def _queue_audio(self, packet: Packet) -> None:
        outbox = self._ensure_outbox()
        before = outbox.dropped_packets
        track = self.seat.heard.get(packet.track)
        if track is None:  # unsubscribed while a large room's slices were on their way
            return
        outbox.push_audio(packet, track.frame_ms)
        self.dropped_frames += outbox.dropped_packets - before

    def _give_to_transport(self, data: bytes) -> None:
        try:
            self._write(data)
        except RuntimeError:  # uvloop's word for a transport that broke in this very turn
            self._through = self._writable = False

    def _ensure_outbox(self) -> Outbox:
        outbox = self._outbox
        if outbox is None:
            limit_ms = BEHIND_AUDIO_LIMIT_MS if self._behind else self._policy.drop_s * 1000
            outbox = self._outbox = Outbox(audio_limit_ms=limit_ms)
        return outbox

    def _drain(self) -> None:
        outbox = self._outbox
        if outbox is not None:
            while self._writable:
                # while behind, only control goes out: audio waits, bounded, for the listener to catch up
                frame = outbox.pop_control() if self._behind else outbox.pop()
                if frame is None:
                    break
                if frame[0] == 0x82:
                    self.sent += 1
                self._give_to_transport(frame)
        self._through = self._writable and not self._behind and not outbox
        if self._through and outbox is not None:
            outbox.limit_audio(self._policy.drop_s * 1000)

    def _removed(self, reason: LeaveReason, now: float) -> None:
        connection = self._connection
        self._through = False
        self._on_gone(self)
        if connection is not None:
            close = REMOVED_AS.get(reason)
            if close is not None:
                connection.close(close)

    # --- joining --------------------------------------------------------------------------------------------

    def begin(
        self,
        limits: messages.Limits,
        now: float,
        *,
        missed: list[RoomEvent] | None,
        resumed: bool,
    ) -> None:
        """Tell the client that it sits: `session_started`, then what it missed where that is still known."""
        seat = self.seat
        replay = replay_frames(missed)

        def started(room: messages.RoomSnapshot) -> messages.SessionStarted:
            return messages.SessionStarted(
                participant_id=seat.participant_id,
                identity=seat.identity,
                resume_token=self.resume_token,
                room=room,
                limits=limits,
                server_time_ms=now * 1000,
                resumed="new" if not resumed else "snapshot" if replay is None else "events",
                last_command_id=self.session.last_command_id,
                refused=self.session.refusals if resumed else [],
                permissions=[name for name in seat.grants.__dataclass_fields__ if getattr(seat.grants, name)],
            )

        if replay is None:
            frames = snapshot_frames(started, seat.room.view(seat), seat.participant_id)
        else:  # the client knows the room: the missed events bring it up to date
            room = messages.RoomSnapshot(name=seat.room.name, last_event_id=seat.room.last_event_id)
            frames = [text_frame(messages.encode(started(room))), *replay]
        if resumed:
            # the answer to a track_open may have been lost with the old connection
            frames += [text_frame(messages.encode(self.opened(track))) for track in seat.tracks.values()]
        # One write: in pieces, the later ones could overflow what may wait for this listener.
        self.send_frame(b"".join(frames))

    def opened(self, track: Track) -> messages.TrackOpened:
        """The answer to the `track_open` that made `track`."""
        return messages.TrackOpened(
            event_id=self.seat.room.last_event_id,
            track=track_info(track.view()),
            command_id=self.opened_by.get(track.id),
        )
