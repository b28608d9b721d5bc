"""Room events to wire messages: the room has its own words and knows nothing of JSON.

Each event is encoded once, as a ready-made WebSocket text frame kept in `event.encoded`, however many hear it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from roomtone.protocol import messages
from roomtone.protocol.frames import text_frame
from roomtone.protocol.messages import Message
from roomtone.room import events
from roomtone.room.events import ParticipantView, RoomEvent, RoomView, TrackView


def participant_info(view: ParticipantView) -> messages.ParticipantInfo:
    """A participant as the wire tells it."""
    return messages.ParticipantInfo(
        participant_id=view.participant_id,
        identity=view.identity,
        name=view.name,
        kind=view.kind,
        role=view.role,
        presence=view.presence,
        hand_raised=view.hand_raised,
        metadata=view.metadata,
        attributes=dict(view.attributes),
    )


def track_info(view: TrackView) -> messages.TrackInfo:
    """A track as the wire tells it."""
    return messages.TrackInfo(
        track=view.track,
        participant_id=view.participant_id,
        codec=view.codec,  # type: ignore[arg-type]  # the room checked it against CODEC_NAMES
        channels=view.channels,
        frame_ms=view.frame_ms,
        content=view.content,
        name=view.name,
        muted=view.muted,
        muted_by_moderator=view.muted_by_moderator,
        playout_interval_ms=view.playout_interval_ms,
    )


def room_snapshot(view: RoomView) -> messages.RoomSnapshot:
    """The room as `session_started` tells it."""
    return messages.RoomSnapshot(
        name=view.name,
        last_event_id=view.last_event_id,
        metadata=view.metadata,
        participants=[participant_info(one) for one in view.participants],
        tracks=[track_info(one) for one in view.tracks],
        speakers=list(view.speakers),
    )


_MESSAGES: dict[type[RoomEvent], Callable[[Any], Message]] = {
    events.ParticipantJoined: lambda e: messages.ParticipantJoined(
        event_id=e.event_id, participant=participant_info(e.participant)
    ),
    events.ParticipantUpdated: lambda e: messages.ParticipantUpdated(
        event_id=e.event_id, participant=participant_info(e.participant)
    ),
    events.ParticipantLeft: lambda e: messages.ParticipantLeft(
        event_id=e.event_id, participant_id=e.participant_id, identity=e.identity, reason=e.reason
    ),
    events.TrackOpened: lambda e: messages.TrackOpened(event_id=e.event_id, track=track_info(e.track)),
    events.TrackUpdated: lambda e: messages.TrackUpdated(event_id=e.event_id, track=track_info(e.track)),
    events.TrackClosed: lambda e: messages.TrackClosed(
        event_id=e.event_id, track=e.track, participant_id=e.participant_id
    ),
    events.TrackFlushed: lambda e: messages.TrackFlushed(
        event_id=e.event_id, track=e.track, from_sequence=e.from_sequence
    ),
    events.TrackDucked: lambda e: messages.TrackDucked(
        event_id=e.event_id, track=e.track, gain_db=e.gain_db, ramp_ms=e.ramp_ms
    ),
    events.MessageSent: lambda e: messages.RoomMessage(
        event_id=e.event_id, sender=e.sender, participant_id=e.participant_id, topic=e.topic, data=e.data
    ),
    events.SpeakersChanged: lambda e: messages.Speakers(
        speakers=[messages.SpeakerInfo(who, level) for who, level in e.speakers]
    ),
    events.AudioEnded: lambda e: messages.AudioEnded(track=e.track),
    events.TrackClockTold: lambda e: messages.TrackClockTold(
        track=e.track, timestamp=e.timestamp, sender_time_ms=e.sender_time_ms
    ),
    events.InterruptRequested: lambda e: messages.Interrupted(participant_id=e.participant_id, track=e.track),
    events.PlayoutReported: lambda e: messages.Playout(
        track=e.track,
        timestamp=e.timestamp,
        output_latency_ms=e.output_latency_ms,
        buffered_ms=e.buffered_ms,
        underruns=e.underruns,
        participant_id=e.participant_id,
    ),
    events.BitrateRequested: lambda e: messages.SetBitrate(track=e.track, bitrate_bps=e.bitrate_bps),
}


def event_frame(event: RoomEvent) -> bytes:
    """The event as a ready-made WebSocket text frame, shared by all who hear it."""
    frame = event.encoded
    if frame is None:
        frame = event.encoded = text_frame(messages.encode(_MESSAGES[type(event)](event)))
    return frame
