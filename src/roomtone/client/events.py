"""What happens in a room, as a stream: the protocol's own messages, and the client's changes of state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from roomtone.client.errors import ConnectError
from roomtone.client.queues import DropOldest
from roomtone.protocol import messages

State = Literal["connecting", "joined", "reconnecting", "closed"]

EVENT_BOUND: Final = 1_024


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The session's own state. error: why, for "reconnecting" and "closed"; None after a leave."""

    state: State
    error: ConnectError | None = None


RoomEvent = (
    messages.ParticipantJoined
    | messages.ParticipantUpdated
    | messages.ParticipantLeft
    | messages.TrackOpened
    | messages.TrackUpdated
    | messages.TrackClosed
    | messages.TrackFlushed
    | messages.TrackDucked
    | messages.Speakers
    | messages.RoomMessage
    | messages.Interrupted
    | messages.AudioEnded
    | messages.TrackClockTold
    | messages.SetBitrate
    | messages.ConnectionQuality
    | messages.Draining
    | messages.Playout
    | messages.Error
    | StateChanged
)
"""Everything that room.events() may give. Fields and units are documented in roomtone.protocol.messages."""

_PRIVATE: Final = (
    messages.SessionStarted,
    messages.CommandApplied,
    messages.Pong,
    messages.ReceiveReport,
)


def as_event(message: messages.ServerMessage) -> RoomEvent | None:
    """The message, if it is one for users. Errors that answer a command are told by the command alone."""
    if isinstance(message, _PRIVATE):
        return None
    if isinstance(message, messages.Error) and message.command_id is not None:
        return None
    return message


class EventStream:
    """Events from the call of room.events() on. dropped: how many a reader that is 1,024 behind has lost.

    Ends when the room is left; raises the ConnectError where the session ended otherwise.
    """

    def __init__(self) -> None:
        self._queue: DropOldest[RoomEvent] = DropOldest(EVENT_BOUND)

    @property
    def dropped(self) -> int:
        """Events that were pushed out unread, the oldest first."""
        return self._queue.dropped

    def put(self, event: RoomEvent) -> None:
        """Something happened."""
        self._queue.put(event)

    def close(self, error: Exception | None = None) -> None:
        """The room is left or lost; what is queued is still given out."""
        self._queue.close(error)

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> RoomEvent:
        return await self._queue.get()
