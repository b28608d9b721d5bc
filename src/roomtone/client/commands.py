"""What a client says to the room and asks of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from roomtone.client.link import Link
from roomtone.client.local_track import consume
from roomtone.protocol import messages


class RoomCommands(ABC):
    """The commands of a Room. What is asked for once and holds from then on is remembered, for a new seat."""

    def __init__(self) -> None:
        self._subscription: dict[str, Any] | None = None
        self._own_state: dict[str, Any] = {}

    @abstractmethod
    def _live(self) -> Link:
        """The link. Raises NotInRoom before the room is joined."""

    async def send(self, data: Any, *, topic: str = "", to: Iterable[str] | None = None) -> None:
        """A data message to everyone, or to the identities in `to`. data: any JSON value up to 16 KiB.

        This and all commands below return when the server has done it, wait over a reconnect, and raise
        CommandRefused, CommandLost or NotInRoom. ValueError for data that is too large.
        """
        if len(msgspec.json.encode(data)) > messages.MAX_DATA_BYTES:
            raise ValueError(f"data is at most {messages.MAX_DATA_BYTES} bytes of JSON")
        targets = None if to is None else list(to)
        await self._live().request(messages.SendMessage, data=data, topic=topic, to=targets)

    async def subscribe(
        self,
        mode: Literal["all", "speakers", "tracks"] = "all",
        *,
        limit: int = 3,
        tracks: Iterable[int] = (),
    ) -> None:
        """Hear everything, the `limit` (1..64) most active speakers, or the tracks of these ids."""
        wish = {"mode": mode, "limit": limit, "tracks": list(tracks)}
        await self._live().request(messages.Subscribe, **wish)
        self._subscription = wish

    async def set_state(
        self,
        *,
        name: str | None = None,
        hand_raised: bool | None = None,
        away: bool | None = None,
        metadata: str | None = None,
        attributes: dict[str, str] | None = None,
    ) -> None:
        """Change how others see one; None leaves a field as it is, an attribute set to "" is removed."""
        wish = {
            "name": name,
            "hand_raised": hand_raised,
            "away": away,
            "metadata": metadata,
            "attributes": attributes,
        }
        wish = {key: value for key, value in wish.items() if value is not None}
        await self._live().request(messages.SetState, **wish)
        merged = {**self._own_state.get("attributes", {}), **(attributes or {})}
        self._own_state.update(wish)
        if merged:
            self._own_state["attributes"] = merged

    async def raise_hand(self, raised: bool = True) -> None:
        """Ask to speak, on a stage; or take the hand down."""
        await self.set_state(hand_raised=raised)

    async def interrupt(self, track: int | None = None) -> None:
        """Ask the owner of `track`, all agents where it is None, to stop speaking."""
        await self._live().request(messages.Interrupt, track=track)

    async def moderate(
        self,
        action: Literal["mute", "unmute", "promote", "demote", "remove"],
        identity: str,
        *,
        track: int | None = None,
    ) -> None:
        """A moderator's command over somebody else; `track` narrows mute and unmute to one track."""
        await self._live().request(messages.Moderate, action=action, identity=identity, track=track)

    def _wish_again(self) -> None:
        """A new seat knows nothing of what this client asked for in the old one."""
        link = self._live()
        if self._subscription is not None and self._subscription["mode"] != "tracks":
            consume(link.request(messages.Subscribe, **self._subscription))
        if self._own_state:
            consume(link.request(messages.SetState, **self._own_state))
