"""Broadcast sound that a program makes: here a melody; a speech synthesiser works the same way.

    python examples/broadcast_iterator.py http://127.0.0.1:7800 "$(roomtone token --dev --identity bells --room lobby)"

The generator may be as fast as it likes: the track plays it at its own speed, and lets it wait.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt

import roomtone

RATE_HZ = 24_000
NOTES_HZ = (262, 330, 392, 523)


async def melody(seconds: float) -> AsyncIterator[npt.NDArray[np.int16]]:
    """A quarter of a second at a time, int16."""
    t = np.arange(RATE_HZ // 4) / RATE_HZ
    for number in range(round(seconds * 4)):
        tone = np.sin(2 * np.pi * NOTES_HZ[number % len(NOTES_HZ)] * t) * np.exp(-6 * t)
        yield (tone * 12_000).astype(np.int16)


async def broadcast(url: str, token: str, seconds: float) -> None:
    async with roomtone.connect(url, token) as room:
        track = await room.publish(melody(seconds), name="melody", content="music", sample_rate_hz=RATE_HZ)
        await track.wait()
        print(f"{track.statistics.sent_frames} frames sent")


def main() -> None:
    parser = argparse.ArgumentParser(description="Broadcast a melody.")
    parser.add_argument("url", help="the server, as http://127.0.0.1:7800")
    parser.add_argument("token", help="may publish")
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    try:
        asyncio.run(broadcast(arguments.url, arguments.token, arguments.seconds))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
