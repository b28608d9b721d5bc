"""The first words to a client that sits: `session_started` and what follows from it, as one write."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from roomtone.participants.websocket_events import event_frame, participant_info, room_snapshot, track_info
from roomtone.protocol import messages
from roomtone.protocol.frames import text_frame
from roomtone.protocol.messages import MAX_SERVER_MESSAGE_BYTES, Message, RoomSnapshot
from roomtone.room.events import RoomEvent, RoomView
from roomtone.room.outbox import CONTROL_LIMIT_BYTES, CONTROL_LIMIT_EVENTS


def replay_frames(missed: Sequence[RoomEvent] | None) -> list[bytes] | None:
    """The missed events as frames; None where a snapshot has to stand for them.

    That is so where the log does not reach back, and where the events are more than may wait for a listener:
    one that was closed since it read too slowly would only be closed again.
    """
    if missed is None or len(missed) > CONTROL_LIMIT_EVENTS:
        return None
    frames = [event_frame(event) for event in missed]
    return frames if sum(map(len, frames)) <= CONTROL_LIMIT_BYTES else None


def snapshot_frames(start: Callable[[RoomSnapshot], Message], view: RoomView, participant_id: str) -> list[bytes]:
    """`session_started` with the whole room in it, where that is no longer than a server's message may be.

    Else it holds the client itself and its own tracks, and the others are told one by one, as if they came in
    just now: in a room of a thousand with long metadata, one message would be too big for everybody.
    """
    whole = room_snapshot(view)
    frame = _frame(start(whole))
    if len(frame) <= MAX_SERVER_MESSAGE_BYTES:
        return [frame]
    own = RoomSnapshot(
        name=whole.name,
        last_event_id=whole.last_event_id,
        metadata=whole.metadata,
        participants=[participant_info(one) for one in view.participants if one.participant_id == participant_id],
        tracks=[track_info(one) for one in view.tracks if one.participant_id == participant_id],
        speakers=whole.speakers,
    )
    frames = [_frame(start(own))]
    for participant in view.participants:
        if participant.participant_id != participant_id:
            joined = messages.ParticipantJoined(event_id=view.last_event_id, participant=participant_info(participant))
            frames.append(_frame(joined))
    for track in view.tracks:
        if track.participant_id != participant_id:
            frames.append(_frame(messages.TrackOpened(event_id=view.last_event_id, track=track_info(track))))
    return frames


def _frame(message: Message) -> bytes:
    return text_frame(messages.encode(message))
