"""What the tests of the client share: a server, seated clients, sounds, and ways to break a connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

import roomtone
from roomtone.client.room import Room
from roomtone.media.delay import fixed
from roomtone.media.pcm import Pcm
from roomtone.server.app import Server

DEADLINE_S = 10.0
SAMPLE = Path(roomtone.__file__).parent / "assets" / "sample.flac"


@contextlib.asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Server]:
    """A development server on a free port, which does not wait for anybody when it stops."""
    async with Server(**({"dev": True, "port": 0, "drain_timeout_s": 0} | settings)) as server:
        yield server


def joining(server: Server, identity: str, *, memory: bool = False, **options: Any) -> Room:
    """A room to enter, in "lobby" unless told otherwise; `grants` go into the token."""
    grants = options.pop("grants", None)
    room = options.pop("room", "lobby")
    options.setdefault("jitter", fixed(40))
    return roomtone.connect(
        server if memory else server.url, server.token(identity, room=room, grants=grants), **options
    )


def cut(room: Room) -> None:
    """The network is gone: no close frame."""
    link = room._link
    assert link is not None
    assert link._transport is not None
    link._transport.abort()


async def until(condition: Any) -> None:
    """Let others run until `condition()` holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110  the condition is anybody's
            await asyncio.sleep(0.005)


def chirp(seconds: float, rate_hz: int = 48_000, *, low_hz: float = 200, high_hz: float = 2_000) -> Pcm:
    """A tone that climbs, so that every moment of it sounds different."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    phase = 2 * np.pi * (low_hz * t + (high_hz - low_hz) / (2 * seconds) * t * t)
    return (np.sin(phase) * 12_000).astype(np.int16)


def likeness(heard: Pcm, source: Pcm, block: int = 2_400) -> float:
    """How like `source` the sound in `heard` is: the median, over its blocks, of the best correlation of each.

    By blocks, for a jitter buffer may stretch time between them. Silent blocks do not count.
    """
    blocks = [heard[at : at + block] for at in range(0, len(heard) - block + 1, block)]
    scores = [_correlation(one, source) for one in blocks if np.abs(one).min() < 200 < np.abs(one).max()]
    assert scores, "nothing was heard"
    return float(np.median(scores))


def _correlation(part: Pcm, source: Pcm) -> float:
    """The best normalised correlation of `part` with any stretch of `source`."""
    short, whole = part.astype(np.float64), source.astype(np.float64)
    size = 1 << (len(whole) + len(short)).bit_length()
    products = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(short, size)), size)
    energies = np.cumsum(np.concatenate(([0.0], whole**2)))
    lags = np.arange(len(whole) - len(short) + 1)
    norms = np.sqrt((energies[lags + len(short)] - energies[lags]) * np.sum(short**2))
    return float(np.max(products[: len(lags)] / np.maximum(norms, 1.0)))


async def pcm_chunks(pcm: Pcm, samples: int = 480) -> AsyncIterator[Pcm]:
    """`pcm` in pieces, as a synthesiser hands it out: faster than it is spoken."""
    for at in range(0, len(pcm), samples):
        yield pcm[at : at + samples]


async def hear(track: Any, seconds: float) -> Pcm:
    """What the track sounds like for so long."""
    frames = []
    async with asyncio.timeout(DEADLINE_S + seconds):
        async for frame in track.frames():
            frames.append(frame.pcm)
            if len(frames) * 0.02 >= seconds:
                break
    return np.concatenate(frames)
