"""What a room tells about its connection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomStatistics:
    """rtt_ms and offset_ms (the server's clock minus this one's): None before they are known.

    reconnects: connections after the first. received_frames, stray_frames (of tracks that are not known) and
    dropped_frames (not sent, since the connection took no more) count audio. buffered_bytes: not sent yet.
    """

    rtt_ms: float | None
    offset_ms: float | None
    reconnects: int
    received_frames: int
    stray_frames: int
    dropped_frames: int
    buffered_bytes: int
