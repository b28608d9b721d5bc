"""What a participant says of a track when it opens it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from roomtone.media.packet import CODEC_NAMES
from roomtone.room.errors import RoomError

RAW_BITRATES_BPS: Final[dict[str, int]] = {
    "pcm_16k": 256_000,
    "pcm_24k": 384_000,
    "pcm_48k": 768_000,
    "pcmu": 64_000,
    "pcma": 64_000,
}
"""Of one channel, of the codecs whose rate is fixed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFormat:
    """codec: a name of CODEC_NAMES. channels: 1 or 2. frame_ms: the usual frame, 2.5 to 60.

    playout_interval_ms: how often listeners report what they hear, 0 for never.
    Raises RoomError invalid for a value outside of that.
    """

    codec: str
    channels: int = 1
    frame_ms: float = 20
    content: Literal["voice", "music"] = "voice"
    name: str = ""
    playout_interval_ms: int = 0

    def __post_init__(self) -> None:
        if self.codec not in CODEC_NAMES:
            raise RoomError("invalid", f"codec {self.codec!r} is not known; {', '.join(CODEC_NAMES)} are")
        if self.channels not in (1, 2):
            raise RoomError("invalid", f"a track has 1 or 2 channels, not {self.channels}")
        if not 2.5 <= self.frame_ms <= 60:
            raise RoomError("invalid", f"frame_ms is 2.5 to 60, not {self.frame_ms}")
        if self.content not in ("voice", "music"):
            raise RoomError("invalid", f"content is voice or music, not {self.content!r}")
        if self.playout_interval_ms < 0:
            raise RoomError("invalid", f"playout_interval_ms is at least 0, not {self.playout_interval_ms}")

    def check_bitrate(self, max_bitrate_bps: int) -> None:
        """Raises RoomError limit_reached for a raw codec that needs more: its packets would be dropped."""
        if RAW_BITRATES_BPS.get(self.codec, 0) * self.channels > max_bitrate_bps:
            message = f"{self.codec} with {self.channels} channels takes over {max_bitrate_bps} bit/s a track"
            raise RoomError("limit_reached", message)
