"""The whole room as one voice: what a simple listener or a recorder wants."""

from __future__ import annotations

import asyncio
from typing import Protocol

import numpy as np

from roomtone.client.cadence import Cadence
from roomtone.client.playout import Frame, Playout, buffer_rate_hz, pull_ms_of
from roomtone.client.remote_track import MAX_SKIP_MS, RemoteTrack
from roomtone.media.mixer import mix
from roomtone.media.pcm import Pcm, silence
from roomtone.media.resample import Resampler


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
        if channels not in (1, 2):
            raise ValueError(f"channels is 1 or 2, not {channels}")
        self._room = room
        self._pull_ms = pull_ms_of(frame_ms)
        self._pulls = frame_ms // self._pull_ms
        self._rate_hz = buffer_rate_hz(sample_rate_hz)
        self._channels = channels
        self._samples = self._rate_hz * self._pull_ms // 1000
        self._resampler = Resampler(self._rate_hz, sample_rate_hz, channels, channels)
        self._parts: list[Pcm] = []
        self._playouts: dict[RemoteTrack, Playout] = {}
        self._cadence = Cadence(self._pull_ms / 1000)
        self._skipped_pulls = 0
        self._listen()

    @property
    def skipped_frames(self) -> int:
        """Frames that a consumer over 200 ms late did not get."""
        return -(-self._skipped_pulls // self._pulls)

    def __aiter__(self) -> MixStream:
        return self

    async def __anext__(self) -> Frame:
        parts = self._parts
        while len(parts) < self._pulls:
            skipped = await self._cadence.wait()
            self._listen()
            ended, error = self._room.end
            if ended and not self._playouts and not parts:
                if error is not None:
                    raise error
                raise StopAsyncIteration
            now = asyncio.get_running_loop().time()
            for _ in range(min(skipped, MAX_SKIP_MS // self._pull_ms)):
                self._pull(now)
            self._skipped_pulls += skipped
            parts.append(self._pull(now))
        self._parts = []
        pcm = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return Frame(self._resampler.process(pcm), self._resampler.to_hz, None)

    def _pull(self, now: float) -> Pcm:
        frames = [playout.pull(now).pcm for playout in self._playouts.values()]
        return mix(frames) if frames else silence(self._samples, self._channels)

    def _listen(self) -> None:
        """Follow the tracks that come and go."""
        for track in self._room.tracks.values():
            if track not in self._playouts:
                self._playouts[track] = track.playout(self._rate_hz, self._pull_ms, channels=self._channels)
        for track in [track for track, playout in self._playouts.items() if playout.finished]:
            del self._playouts[track]
