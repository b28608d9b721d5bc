"""All rooms of a server, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from roomtone.room.errors import RoomError
from roomtone.room.options import RoomOptions
from roomtone.room.room import Room
from roomtone.room.statistics import RoomStatistics
from roomtone.room.track import Spread


class Directory:
    """Opens rooms, ticks them, and closes those that expired or are deleted."""

    def __init__(self, *, ids: Callable[[str], str], max_rooms: int, spread: Spread | None = None) -> None:
        self._ids = ids
        self._max_rooms = max_rooms
        self._spread = spread
        self._rooms: dict[str, Room] = {}
        self._past_in = 0
        self._past_delivered = 0
        self._past_dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[Room]:
        """The rooms of now; opening and deleting meanwhile is safe."""
        return iter(tuple(self._rooms.values()))

    def get(self, name: str) -> Room | None:
        return self._rooms.get(name)

    def open(self, name: str, options: RoomOptions, now: float) -> Room:
        """The room of that name, as it is (its options stay), or a new one.

        Raises RoomError limit_reached.
        """
        room = self._rooms.get(name)
        if room is not None:
            if not room.expired(now):
                return room
            self.delete(name, now)
        if len(self._rooms) >= self._max_rooms:
            self._expire(now)
        if len(self._rooms) >= self._max_rooms:
            raise RoomError("limit_reached", f"the server has its {self._max_rooms} rooms", retryable=True)
        room = self._rooms[name] = Room(name, options, ids=self._ids, now=now, spread=self._spread)
        return room

    def delete(self, name: str, now: float) -> bool:
        """Close the room and forget it; False if there is none of that name."""
        room = self._rooms.pop(name, None)
        if room is None:
            return False
        room.close(now)
        last = room.statistics
        self._past_in += last.packets_in
        self._past_delivered += last.packets_delivered
        self._past_dropped.update(last.packets_dropped)
        return True

    @property
    def statistics(self) -> RoomStatistics:
        """All rooms' together. The packets of rooms that are gone count too, so that these never go down."""
        rooms = [room.statistics for room in self._rooms.values()]
        dropped = Counter(self._past_dropped)
        for one in rooms:
            dropped.update(one.packets_dropped)
        return RoomStatistics(
            participants=sum(one.participants for one in rooms),
            tracks=sum(one.tracks for one in rooms),
            packets_in=self._past_in + sum(one.packets_in for one in rooms),
            packets_delivered=self._past_delivered + sum(one.packets_delivered for one in rooms),
            packets_dropped=dict(dropped),
        )

    def close(self, now: float) -> None:
        """Delete every room."""
        for name in tuple(self._rooms):
            self.delete(name, now)

    def tick(self, now: float) -> float | None:
        """Tick every room and close the expired. When to call again; None when there is nothing to wait for.

        A join, a lost connection or a new track moves the deadline forward without a word: call at the latest
        every speakers.INTERVAL_S while rooms are open. A room at rest costs a microsecond.
        """
        earliest: float | None = None
        for room in tuple(self._rooms.values()):
            deadline = room.tick(now)
            if room.expired(now):
                self.delete(room.name, now)
            elif deadline is not None and (earliest is None or deadline < earliest):
                earliest = deadline
        return earliest

    def _expire(self, now: float) -> None:
        for name in [name for name, room in self._rooms.items() if room.expired(now)]:
            self.delete(name, now)
