"""The room's memory of what it told, for participants that were away."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

from roomtone.room.events import RoomEvent


@dataclass(frozen=True, slots=True)
class _Entry:
    event: RoomEvent
    audience: Collection[str] | None
    without: str | None


class EventLog:
    """The last `size` events, numbered from 1 without gaps. Not everybody may see each of them."""

    def __init__(self, size: int) -> None:
        self._entries: deque[_Entry] = deque(maxlen=size)
        self.last_id = 0

    def __len__(self) -> int:
        return len(self._entries)

    def append(self, event: RoomEvent, *, audience: Collection[str] | None = None, without: str | None = None) -> None:
        """Number `event` and keep it.

        audience: the identities that may see it, None for all. without: a participant id that may not.
        """
        self.last_id += 1
        event.event_id = self.last_id
        self._entries.append(_Entry(event, audience, without))

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
