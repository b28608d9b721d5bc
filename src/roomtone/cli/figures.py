"""What a listener can tell of the audio that reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from roomtone.client.errors import RoomtoneError
from roomtone.client.remote_track import RemoteTrack
from roomtone.client.room import Room
from roomtone.media.jitter_statistics import JitterStatistics
from roomtone.media.level import SILENCE

BITRATE_WINDOW_S: Final = 2.0
SAMPLE_RATE_HZ: Final = 48_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """seconds: of sound that were written or shown. level: 0..127 -dBov. tracks: that are heard now.

    jitter_ms, depth_ms, target_ms, delay_ms: the greatest of the tracks; delay_ms: mean time from arrival to
    ear. The others are sums: underruns, concealed_ms (invented), lost and received packets. bitrate_bps: of
    what arrives, payloads only, over the last two seconds.
    """

    seconds: float
    tracks: int
    level: int
    jitter_ms: float
    depth_ms: float
    target_ms: float
    delay_ms: float
    underruns: int
    concealed_ms: float
    lost: int
    received: int
    bitrate_bps: int

    def cells(self) -> dict[str, str]:
        """For people. Without a jitter buffer, as in a recording of packets, nothing of it is told."""
        cells = {"seconds": f"{self.seconds:.1f}"}
        if not (self.tracks or self.received):
            return cells | {"speakers": "nobody"}
        if self.target_ms:
            cells |= {
                "jitter": f"{self.jitter_ms:.1f} ms",
                "buffer": f"{self.depth_ms:.0f}/{self.target_ms:.0f} ms",
                "underruns": str(self.underruns),
                "concealed": f"{self.concealed_ms:.0f} ms",
            }
        return cells | {"kbit/s": f"{self.bitrate_bps / 1000:.1f}"}

    def fields(self) -> dict[str, Any]:
        """For programs."""
        return {key: round(value, 3) for key, value in asdict(self).items()}


@dataclass(slots=True)
class _Past:
    """The sums of tracks that ended: a listener may see thousands come and go."""

    received: int = 0
    underruns: int = 0
    concealed_samples: int = 0
    lost: int = 0
    delay_ms: float = 0.0

    def add(self, received: int, statistics: JitterStatistics | None) -> None:
        self.received += received
        if statistics is not None:
            self.underruns += statistics.underruns
            self.concealed_samples += statistics.concealed_samples
            self.lost += statistics.lost
            self.delay_ms = statistics.delay_ms


class Follower:
    """Follows all remote tracks of a room: counts their bytes, reads their jitter buffers' statistics.

    The totals of tracks that ended are kept. look() starts to follow new tracks: call it several times a second.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._counts: dict[RemoteTrack, asyncio.Task[None]] = {}
        self._last: dict[RemoteTrack, JitterStatistics] = {}
        self._past = _Past()
        self._bytes = 0
        self._history: list[tuple[float, int]] = []
        self._samples = 0
        self._level = SILENCE

    def heard(self, samples: int, level: int) -> None:
        """So many samples at 48 kHz were given out; the meter shows the loudest since the last look."""
        self._samples += samples
        self._level = min(self._level, level)

    def look(self) -> Figures:
        """As of now."""
        now = asyncio.get_running_loop().time()
        for track in self._room.tracks.values():
            if track not in self._counts:
                self._counts[track] = asyncio.create_task(self._count(track))
        for track in self._counts:
            statistics = track.statistics
            if statistics is not None:
                self._last[track] = statistics
        for track in [track for track, task in self._counts.items() if track.closed and task.done()]:
            self._past.add(track.received_packets, self._last.pop(track, None))
            del self._counts[track]
        past = self._past
        of_live = [value for track, value in self._last.items() if not track.closed]
        every = list(self._last.values())
        level, self._level = self._level, SILENCE
        return Figures(
            seconds=self._samples / SAMPLE_RATE_HZ,
            tracks=len(self._room.tracks),
            level=level,
            jitter_ms=max((one.jitter_ms for one in of_live), default=0.0),
            depth_ms=max((one.depth_ms for one in of_live), default=0.0),
            target_ms=max((one.target_ms for one in of_live), default=0.0),
            delay_ms=max((one.delay_ms for one in every), default=past.delay_ms),
            underruns=past.underruns + sum(one.underruns for one in every),
            concealed_ms=(past.concealed_samples + sum(one.concealed_samples for one in every)) * 1000 / SAMPLE_RATE_HZ,
            lost=past.lost + sum(one.lost for one in every),
            received=past.received + sum(track.received_packets for track in self._counts),
            bitrate_bps=self._bitrate(now),
        )

    @contextmanager
    def following(self) -> Iterator[Follower]:
        """Until the end of the context, when the counting stops."""
        try:
            yield self
        finally:
            for task in self._counts.values():
                task.cancel()

    async def _count(self, track: RemoteTrack) -> None:
        with suppress(RoomtoneError):  # the session ended by it: whoever listens is told
            async for packet in track.packets():
                self._bytes += len(packet.payload)

    def _bitrate(self, now: float) -> int:
        history = self._history
        history.append((now, self._bytes))
        while len(history) > 2 and now - history[1][0] >= BITRATE_WINDOW_S:
            history.pop(0)
        since, before = history[0]
        return round((self._bytes - before) * 8 / (now - since)) if now > since else 0
