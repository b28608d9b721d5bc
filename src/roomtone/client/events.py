"""What happens in a room, as a stream: the protocol's own messages, and the client's changes of state."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from roomtone.client.errors import ConnectError, NotInRoom
from roomtone.client.queues import DropOldest
from roomtone.protocol import messages

Event = TypeVar("Event")
State = Literal["connecting", "joined", "reconnecting", "closed"]

EVENT_BOUND: Final = 1_024


@dataclass(frozen=True, slots=True)
class StateChanged:
    """The session's own state. error: why, for "reconnecting" and "closed"; None after a leave."""

    state: State
    error: ConnectError | None = None


PlayoutReport = messages.Playout
ErrorTold = messages.Error
"""Two events under the names that users know them by: `Playout` is what listens, and errors are exceptions here."""

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
    | PlayoutReport
    | ErrorTold
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


class EventWait(Generic[Event]):
    """`await` it for the first event of a type after the call of room.wait_for(); again for the same one.

    Raises TimeoutError, so many seconds after the await began; ConnectError or NotInRoom where the session ended
    first; and what `where` raised.
    """

    def __init__(self, kind: type[Event], where: Callable[[Event], bool] | None, timeout_s: float | None) -> None:
        self._kind = kind
        self._where = where
        self._timeout_s = timeout_s
        self._found: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

    def put(self, event: RoomEvent) -> None:
        """Something happened."""
        if self._found.done() or not isinstance(event, self._kind):
            return
        try:
            if self._where is None or self._where(event):
                self._found.set_result(event)
        except Exception as error:  # the caller's code, which is told of it; the connection is not
            self._fail(error)

    def close(self, error: Exception | None = None) -> None:
        """The room is left or lost."""
        if not self._found.done():
            self._fail(error or NotInRoom("the room was left"))

    def __await__(self) -> Generator[Any, None, Event]:
        return self._wait().__await__()

    async def _wait(self) -> Event:
        await asyncio.wait({self._found}, timeout=self._timeout_s)
        if not self._found.done():
            raise TimeoutError(f"no {self._kind.__name__} within {self._timeout_s:g} s")
        return self._found.result()

    def _fail(self, error: Exception) -> None:
        self._found.set_exception(error)
        self._found.exception()  # whoever does not wait is not to be told by the garbage collector
