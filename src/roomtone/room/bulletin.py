"""Tells the participants what happens, and keeps it for those who are away."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from roomtone.room.event_log import EventLog
from roomtone.room.events import ParticipantUpdated, RoomEvent

if TYPE_CHECKING:
    from roomtone.room.seat import Seat


class Bulletin:
    """Logged events go to everybody but the suspended, who find them in the log when they return."""

    def __init__(self, seats: Mapping[str, Seat], by_identity: Mapping[str, Seat], log_size: int) -> None:
        self._seats = seats
        self._by_identity = by_identity
        self._log = EventLog(log_size)
        self._untold: deque[tuple[RoomEvent, Collection[str] | None, Seat | None, Seat | None]] = deque()
        self._telling = False

    @property
    def last_event_id(self) -> int:
        """0 before the first event."""
        return self._log.last_id

    def tell(
        self,
        event: RoomEvent,
        now: float,
        *,
        audience: Collection[str] | None = None,
        without: Seat | None = None,
        later: Seat | None = None,
    ) -> None:
        """Log `event`, then tell it to all, or to the identities of `audience`.

        without: is never told. later: is not told now, but finds it in the log. An event that comes up while
        another one is told waits until that has been told to all: everybody sees the same order.
        """
        self._log.append(event, audience=audience, without=None if without is None else without.participant_id)
        self._untold.append((event, audience, without, later))
        if self._telling:
            return
        self._telling = True
        try:
            while self._untold:
                event, audience, without, later = self._untold.popleft()
                for seat in self._audience(audience):
                    if seat.active and seat is not without and seat is not later:
                        seat.notify(event, now)
        finally:
            self._telling = False

    def tell_participant(self, seat: Seat, now: float, *, later: Seat | None = None) -> None:
        """How `seat` is seen has changed; if it is hidden, only it can see itself."""
        audience = frozenset((seat.identity,)) if seat.grants.hidden else None
        self.tell(ParticipantUpdated(participant=seat.view()), now, audience=audience, later=later)

    def tell_unlogged(self, event: RoomEvent, seats: Iterable[Seat], now: float) -> None:
        """What speaks only of now."""
        for seat in tuple(seats):
            if seat.active:
                seat.notify(event, now)

    def missed(self, seat: Seat, last_event_id: int) -> list[RoomEvent] | None:
        """What `seat` may see of the events since then, oldest first; None if the log does not reach back.

        What was told before it joined is not this participant's to hear.
        """
        since = max(last_event_id, seat.joined_event_id)
        return self._log.since(since, seat.identity, seat.participant_id)

    def _audience(self, identities: Collection[str] | None) -> tuple[Seat, ...]:
        if identities is None:
            return tuple(self._seats.values())
        return tuple(self._by_identity[identity] for identity in identities if identity in self._by_identity)
