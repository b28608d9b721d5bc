"""What a room needs of whoever sits in it."""

from __future__ import annotations

from typing import Protocol

from roomtone.media.packet import Packet
from roomtone.room.events import RoomEvent


class Participant(Protocol):
    """A person in a browser, a Python client, an agent, a broadcaster, a recorder, a phone leg ...

    Both methods return at once: they never await, never raise and never call back into the room, which is in
    the middle of a loop over its listeners when it calls them. The one exception: `suspend` and `leave` of the
    own seat, for a connection that is found broken; what the others are told of that waits for the loop's end.
    """

    def deliver(self, packet: Packet, now: float) -> None:
        """One frame to hear. The packet is shared with every other listener: never change it."""

    def notify(self, event: RoomEvent, now: float) -> None:
        """Something happened in the room. Events are shared too, but for `event.encoded`."""
