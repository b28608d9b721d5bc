"""The room's memory of what it told, for participants that were away."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from roomtone.room.events import MessageSent, ParticipantJoined, ParticipantUpdated, ParticipantView, RoomEvent

MAX_LOG_BYTES: Final = 1_048_576
"""Of one room's log, by weigh(). Sixteen times what is told to one participant that comes back."""
BASE_BYTES: Final = 256
"""What an event weighs besides the text in it: the objects themselves."""


@dataclass(frozen=True, slots=True)
class _Entry:
    event: RoomEvent
    audience: Collection[str] | None
    without: str | None
    weight: int


class EventLog:
    """The last `size` events, but not over `max_bytes`, numbered from 1 without gaps. Not everybody may see
    each of them."""

    def __init__(self, size: int, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._entries: deque[_Entry] = deque()
        self._size = size
        self._max_bytes = max_bytes
        self.last_id = 0
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, event: RoomEvent, *, audience: Collection[str] | None = None, without: str | None = None) -> None:
        """Number `event` and keep it.

        audience: the identities that may see it, None for all. without: a participant id that may not.
        """
        self.last_id += 1
        event.event_id = self.last_id
        entries = self._entries
        weight = weigh(event)
        entries.append(_Entry(event, audience, without, weight))
        self.bytes += weight
        while len(entries) > self._size or self.bytes > self._max_bytes:
            self.bytes -= entries.popleft().weight

    def since(self, event_id: int, identity: str, participant_id: str) -> list[RoomEvent] | None:
        """The events after `event_id` that this participant may see, oldest first.

        None when the log no longer reaches back so far, or has not yet come so far.
        """
        missed = self.last_id - event_id
        if not 0 <= missed <= len(self._entries):
            return None
        return [
            entry.event
            for entry in islice(self._entries, len(self._entries) - missed, None)
            if entry.without != participant_id and (entry.audience is None or identity in entry.audience)
        ]


def weigh(event: RoomEvent) -> int:
    """About how many bytes of memory an event holds, its encoded form included."""
    if isinstance(event, MessageSent):
        return BASE_BYTES + 2 * (_weigh_data(event.data) + sum(map(len, event.to or ())))
    if isinstance(event, ParticipantJoined | ParticipantUpdated):
        return BASE_BYTES + 2 * _weigh_view(event.participant)
    return BASE_BYTES


def _weigh_view(view: ParticipantView) -> int:
    attributes = sum(len(key) + len(value) for key, value in view.attributes)
    return len(view.identity) + len(view.name) + len(view.metadata) + attributes


def _weigh_data(data: Any) -> int:
    """Of a JSON value: the characters in it, and 32 bytes for each object."""
    weight = 0
    waiting = [data]
    while waiting:
        value = waiting.pop()
        weight += 32
        if isinstance(value, str):
            weight += len(value)
        elif isinstance(value, dict):
            weight += sum(map(len, value))
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return weight
