"""Which tracks each seat hears: subscriptions, the most active speakers, weak listeners.

Works by differences: a seat knows what it hears, and only tracks whose listeners changed remake their tuple.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from roomtone.room.speakers import ActiveSpeakers

if TYPE_CHECKING:
    from roomtone.room.seat import Seat
    from roomtone.room.track import Track

SubscriptionMode = Literal["all", "speakers", "tracks"]
WEAK_SPEAKERS: Final = 1
"""How many participants a listener hears that cannot keep up."""

EVERYBODY: Final = 1 << 30
"""The reach of a seat whose limit the ranking did not exhaust."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a seat asked to hear. limit: participants, in mode "speakers". tracks: in mode "tracks"."""

    mode: SubscriptionMode = "all"
    limit: int = 3
    tracks: frozenset[int] = frozenset()


class Forwarding:
    """Keeps every track's listeners equal to what the seats want, may and can hear."""

    def __init__(self, seats: Mapping[str, Seat], speakers: ActiveSpeakers, speakers_limit: int | None) -> None:
        self._seats = seats
        self._speakers = speakers
        self._speakers_limit = speakers_limit

    def refresh(self, seat: Seat) -> None:
        """The seat's subscription, presence or strength changed."""
        wanted = self._wanted(seat)
        heard = seat.heard
        for track_id in [track_id for track_id in heard if track_id not in wanted]:
            heard.pop(track_id).remove_listener(seat)
        for track_id, track in wanted.items():
            if track_id not in heard:
                heard[track_id] = track
                track.add_listener(seat)

    def reranked(self, before: list[str]) -> None:
        """The ranking was another one: for those whose part of it changed."""
        pairs = zip(before, self._speakers.ranking, strict=True)
        first = next((rank for rank, (old, new) in enumerate(pairs) if old != new), 0)
        for seat in self._seats.values():
            if first < seat.reach and self._limit(seat) is not None:
                self.refresh(seat)

    def opened(self, track: Track) -> None:
        """For everybody; those who hear all only gain this one."""
        rank = self._speakers.ranking.index(track.seat.participant_id)
        for seat in self._seats.values():
            if self._limit(seat) is not None:
                if rank < seat.reach:
                    self.refresh(seat)
            elif seat is not track.seat and seat.active and _may_hear(seat, track):
                seat.heard[track.id] = track
                track.add_listener(seat)

    def closed(self, track: Track) -> None:
        """Nobody hears it any more; who hears a few may now hear another."""
        for seat in list(track.hearing):
            del seat.heard[track.id]
            track.remove_listener(seat)
            if self._limit(seat) is not None:
                self.refresh(seat)

    def _limit(self, seat: Seat) -> int | None:
        """How many participants the seat hears, None for all."""
        subscription = seat.subscription
        limit: int | None = None
        if subscription.mode == "speakers":
            limit = subscription.limit
        if self._speakers_limit is not None and subscription.mode != "tracks":
            limit = self._speakers_limit if limit is None else min(limit, self._speakers_limit)
        if seat.weak:
            limit = WEAK_SPEAKERS if limit is None else min(limit, WEAK_SPEAKERS)
        return limit

    def _wanted(self, seat: Seat) -> dict[int, Track]:
        wanted: dict[int, Track] = {}
        if not seat.active:
            return wanted
        limit = self._limit(seat)
        owners = 0
        seat.reach = EVERYBODY
        for rank, participant_id in enumerate(self._speakers.ranking):
            owner = self._seats.get(participant_id)
            if owner is None or owner is seat:
                continue
            before = len(wanted)
            for track in owner.tracks.values():
                if _may_hear(seat, track):
                    wanted[track.id] = track
            if len(wanted) > before:
                owners += 1
                if owners == limit:
                    seat.reach = rank + 1
                    break
        return wanted


def _may_hear(seat: Seat, track: Track) -> bool:
    if not seat.grants.subscribe or track.format.codec not in seat.codecs:
        return False
    subscription = seat.subscription
    return subscription.mode != "tracks" or track.id in subscription.tracks
