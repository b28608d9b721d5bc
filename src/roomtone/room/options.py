"""What a room allows, fixed when it is opened."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomOptions:
    """Bounds and habits of one room.

    capacity: participants, hidden and reconnecting ones included. empty_timeout_s: a room that nobody is in
    expires. reconnect_grace_s: a lost connection keeps its seat for so long. event_log_size: events kept for
    those who come back. stage: new participants listen until they are promoted, unless they may moderate.
    speakers_limit: everybody hears the N most active speakers at most, unless they chose tracks one by one.
    max_bitrate_bps: of one track, headers included; a burst of BURST_S seconds of it passes.
    spread_above: tracks with more listeners are handed to the server, which delivers in slices.

    Raises ValueError for a value that no room can work with.
    """

    capacity: int = 500
    max_tracks_per_participant: int = 8
    empty_timeout_s: float = 60
    reconnect_grace_s: float = 30
    event_log_size: int = 1024
    metadata: str = ""
    stage: bool = False
    speakers_limit: int | None = None
    max_bitrate_bps: int = 512_000
    spread_above: int = 256

    def __post_init__(self) -> None:
        for name, least in (
            ("capacity", 1),
            ("max_tracks_per_participant", 1),
            ("empty_timeout_s", 0),
            ("reconnect_grace_s", 0),
            ("event_log_size", 1),
            ("max_bitrate_bps", 1),
            ("spread_above", 0),
        ):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} is at least {least}, not {getattr(self, name)}")
        if self.speakers_limit is not None and self.speakers_limit < 1:
            raise ValueError(f"speakers_limit is None or at least 1, not {self.speakers_limit}")
