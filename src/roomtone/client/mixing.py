"""The whole room as one voice: what a simple listener or a recorder wants."""

from __future__ import annotations

import asyncio
from typing import Protocol

from roomtone.client.cadence import Cadence
from roomtone.client.playout import Frame, Playout
from roomtone.client.remote_track import MAX_SKIP_MS, RemoteTrack
from roomtone.media.mixer import mix
from roomtone.media.pcm import silence


class _Tracks(Protocol):
    @property
    def tracks(self) -> dict[int, RemoteTrack]: ...

    @property
    def end(self) -> tuple[bool, Exception | None]: ...


class MixStream:
    """All remote tracks, mixed, in real time; silence while nobody publishes. Its frames have no timestamp.

    Ends when the room is left; raises the ConnectError where the session ended otherwise.
    """

    def __init__(self, room: _Tracks, *, sample_rate_hz: int, frame_ms: int, channels: int) -> None:
        self._room = room
        self._rate_hz = sample_rate_hz
        self._frame_ms = frame_ms
        self._channels = channels
        self._samples = sample_rate_hz * frame_ms // 1000
        self._playouts: dict[RemoteTrack, Playout] = {}
        self._cadence = Cadence(frame_ms / 1000)
        self.skipped_frames = 0
        self._listen()

    def __aiter__(self) -> MixStream:
        return self

    async def __anext__(self) -> Frame:
        skipped = await self._cadence.wait()
        self._listen()
        ended, error = self._room.end
        if ended and not self._playouts:
            if error is not None:
                raise error
            raise StopAsyncIteration
        now = asyncio.get_running_loop().time()
        for _ in range(min(skipped, MAX_SKIP_MS // self._frame_ms)):
            self._pull(now)
        self.skipped_frames += skipped
        return self._pull(now)

    def _pull(self, now: float) -> Frame:
        frames = [playout.pull(now).pcm for playout in self._playouts.values()]
        pcm = mix(frames) if frames else silence(self._samples, self._channels)
        return Frame(pcm, self._rate_hz, None)

    def _listen(self) -> None:
        """Follow the tracks that come and go."""
        for track in self._room.tracks.values():
            if track not in self._playouts:
                self._playouts[track] = track.playout(self._rate_hz, self._frame_ms, channels=self._channels)
        for track in [track for track, playout in self._playouts.items() if playout.finished]:
            del self._playouts[track]
