"""Plain counters of a room."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomStatistics:
    """Since the room was opened, but for the first two, which are of now.

    packets_delivered: the sum of the listeners of every forwarded packet. packets_dropped: packets in that
    went to nobody, by reason: "muted", "not_permitted" (a listener's role), "suspended", "bitrate".
    """

    participants: int
    tracks: int
    packets_in: int
    packets_delivered: int
    packets_dropped: dict[str, int] = field(default_factory=dict)
