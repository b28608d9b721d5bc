"""What each control message of a client asks of its seat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from roomtone.participants.websocket import WebSocketParticipant
from roomtone.protocol import messages
from roomtone.protocol.messages import Message
from roomtone.room.errors import RoomError

Command = Callable[[WebSocketParticipant, Any, float], Message | None]
"""Carries a message out; what it returns is the answer, in place of `command_applied`. Raises RoomError."""


def apply_command(participant: WebSocketParticipant, message: messages.ClientMessage, now: float) -> str | None:
    """Carry out one message of an active session and answer it. Returns the error's code where it was refused."""
    command_id: int | None = getattr(message, "command_id", None)
    session = participant.session
    try:
        answer = _COMMANDS[type(message)](participant, message, now)
    except RoomError as error:
        refusal = messages.Error(code=error.code, message=str(error), retryable=error.retryable, command_id=command_id)
        session.refused(refusal)
        participant.send(refusal)
        return error.code
    if command_id is not None:
        session.applied(command_id)
        answer = answer or messages.CommandApplied(command_id=command_id)
    if answer is not None:
        participant.send(answer)
    return None


def _track_open(participant: WebSocketParticipant, message: messages.TrackOpen, now: float) -> Message:
    seat = participant.seat
    track = seat.open_track(
        message.codec,
        now,
        channels=message.channels,
        frame_ms=message.frame_ms,
        content=message.content,
        name=message.name,
        playout_interval_ms=message.playout_interval_ms,
    )
    participant.opened_by[track.id] = message.command_id
    return participant.opened(track)


def _track_close(participant: WebSocketParticipant, message: messages.TrackClose, now: float) -> None:
    participant.seat.close_track(message.track, now)
    participant.opened_by.pop(message.track, None)


def _track_clock(participant: WebSocketParticipant, message: messages.TrackClock, now: float) -> None:
    participant.seat.clock(message.track, message.timestamp, message.sender_time_ms, now)


def _audio_end(participant: WebSocketParticipant, message: messages.AudioEnd, now: float) -> None:
    participant.seat.audio_end(message.track, now)


def _interrupt(participant: WebSocketParticipant, message: messages.Interrupt, now: float) -> None:
    participant.seat.interrupt(message.track, now)


def _mute(participant: WebSocketParticipant, message: messages.Mute, now: float) -> None:
    participant.seat.mute(message.muted, now, track=message.track)


def _subscribe(participant: WebSocketParticipant, message: messages.Subscribe, now: float) -> None:
    participant.seat.subscribe(message.mode, now, limit=message.limit, tracks=message.tracks)


def _set_state(participant: WebSocketParticipant, message: messages.SetState, now: float) -> None:
    participant.seat.set_state(
        now,
        name=message.name,
        hand_raised=message.hand_raised,
        away=message.away,
        metadata=message.metadata,
        attributes=message.attributes,
    )


def _message(participant: WebSocketParticipant, message: messages.SendMessage, now: float) -> None:
    participant.seat.send(message.topic, message.data, now, to=message.to)


def _receive_report(participant: WebSocketParticipant, message: messages.ReceiveReport, now: float) -> None:
    if not participant.acknowledge(message.received):
        raise RoomError("invalid", f"receive_report: {message.received} frames were never sent on this connection")


def _playout(participant: WebSocketParticipant, message: messages.Playout, now: float) -> None:
    participant.seat.report_playout(
        message.track,
        message.timestamp,
        message.output_latency_ms,
        message.buffered_ms,
        message.underruns,
        now,
    )


def _moderate(participant: WebSocketParticipant, message: messages.Moderate, now: float) -> None:
    participant.seat.moderate(message.action, message.identity, now, track=message.track)


def _flush(participant: WebSocketParticipant, message: messages.FlushTrack, now: float) -> None:
    participant.seat.flush(message.track, message.from_sequence, now)


def _duck(participant: WebSocketParticipant, message: messages.DuckTrack, now: float) -> None:
    participant.seat.duck(message.track, message.gain_db, message.ramp_ms, now)


def _ping(participant: WebSocketParticipant, message: messages.Ping, now: float) -> Message:
    return messages.Pong(sent_at_ms=message.sent_at_ms, server_time_ms=now * 1000)


_COMMANDS: dict[type[Message], Command] = {
    messages.TrackOpen: _track_open,
    messages.TrackClose: _track_close,
    messages.TrackClock: _track_clock,
    messages.AudioEnd: _audio_end,
    messages.Interrupt: _interrupt,
    messages.Mute: _mute,
    messages.Subscribe: _subscribe,
    messages.SetState: _set_state,
    messages.SendMessage: _message,
    messages.ReceiveReport: _receive_report,
    messages.Playout: _playout,
    messages.Moderate: _moderate,
    messages.FlushTrack: _flush,
    messages.DuckTrack: _duck,
    messages.Ping: _ping,
}
