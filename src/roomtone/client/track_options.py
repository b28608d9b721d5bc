"""What a track of one's own is opened with, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from roomtone.client.playout import MAX_RATE_HZ, MIN_RATE_HZ
from roomtone.media.opus import FRAME_DURATIONS_MS, MAX_BITRATE_BPS, MIN_BITRATE_BPS, Application
from roomtone.media.packet import CODEC_NAMES
from roomtone.sources.reader import SourceOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackOptions:
    """What a track is opened with. Raises ValueError for a setting out of range.

    bitrate_bps: what the encoder begins with, and the most that the server may bring it back to; None for what
    suits content and channels. low_delay: Opus without the speech coder, which looks 2.5 ms ahead instead of 6.5.
    playout_interval_ms: how often listeners tell what they hear; 0: never.
    """

    name: str = ""
    codec: str = "opus"
    bitrate_bps: int | None = None
    frame_ms: float = 20
    content: Literal["voice", "music"] = "voice"
    channels: int = 1
    sample_rate_hz: int = 48_000
    low_delay: bool = False
    playout_interval_ms: int = 0

    def __post_init__(self) -> None:
        if self.codec not in CODEC_NAMES:
            raise ValueError(f"codec is one of {', '.join(CODEC_NAMES)}, not {self.codec!r}")
        if self.content not in ("voice", "music"):
            raise ValueError(f"content is voice or music, not {self.content!r}")
        if self.channels not in (1, 2):
            raise ValueError(f"channels is 1 or 2, not {self.channels}")
        if self.frame_ms not in FRAME_DURATIONS_MS:
            raise ValueError(f"frame_ms is one of {', '.join(f'{ms:g}' for ms in FRAME_DURATIONS_MS)}")
        if not MIN_RATE_HZ <= self.sample_rate_hz <= MAX_RATE_HZ:
            raise ValueError(f"sample_rate_hz is {MIN_RATE_HZ} to {MAX_RATE_HZ}, not {self.sample_rate_hz}")
        if self.bitrate_bps is not None and not MIN_BITRATE_BPS <= self.bitrate_bps <= MAX_BITRATE_BPS:
            raise ValueError(f"bitrate_bps is {MIN_BITRATE_BPS} to {MAX_BITRATE_BPS}, not {self.bitrate_bps}")

    def with_channels(self, channels: int) -> TrackOptions:
        """The same with so many channels."""
        return replace(self, channels=channels)

    @property
    def encoder_bitrate_bps(self) -> int:
        """What was asked for, else 32,000 (voice, mono) to 96,000 (music, stereo), as for streams of a server."""
        return SourceOptions(bitrate_bps=self.bitrate_bps, content=self.content).default_bitrate_bps(self.channels)

    @property
    def application(self) -> Application:
        """What Opus is tuned for."""
        if self.low_delay:
            return Application.LOW_DELAY
        return Application.VOIP if self.content == "voice" else Application.AUDIO

    def opening(self) -> dict[str, Any]:
        """The fields of a track_open."""
        return {
            "codec": self.codec,
            "channels": self.channels,
            "frame_ms": self.frame_ms,
            "content": self.content,
            "name": self.name,
            "playout_interval_ms": self.playout_interval_ms,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStatistics:
    """What became of a track's frames.

    sent_frames: given to the connection. dropped_frames: of these, thrown away since it took no more; those of all
    tracks are in room.statistics. muted_frames: made while muted or demoted, not sent. early_frames: written over
    2 s ahead of time, not sent. queued_ms: read, and waiting for its time. underruns: how often the source came too
    late. bitrate_bps: what the encoder is asked for.
    """

    sent_frames: int
    dropped_frames: int
    muted_frames: int
    early_frames: int
    queued_ms: float
    underruns: int
    bitrate_bps: int
