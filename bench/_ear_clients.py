"""The two ends of bench/mouth_to_ear.py, a process each: `speak` and `listen`.

    _ear_clients.py speak URL TOKEN SECONDS voip|low-delay    prints {"start_s": ...} when all was said
    _ear_clients.py listen URL TOKEN FILE.npz                 writes what was played, and when

All times are CLOCK_MONOTONIC, which both processes and their event loops share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
from _bursts import RATE_HZ, signal
from numpy.typing import NDArray

import roomtone

FRAME_MS = 10
FRAME_SAMPLES = RATE_HZ * FRAME_MS // 1_000
DEPTH_MS = 10.0


class FakeMicrophone:
    """Hands over blocks of 10 ms from a thread of its own, as a sound device does.

    start_s: when the first sample came to the microphone. A block is handed over when its last sample came.
    """

    def __init__(self, samples: NDArray[np.int16]) -> None:
        self._samples = samples
        self.start_s = 0.0
        self.late_ms: list[float] = []

    async def __aiter__(self) -> AsyncIterator[NDArray[np.int16]]:
        loop = asyncio.get_running_loop()
        blocks: asyncio.Queue[NDArray[np.int16] | None] = asyncio.Queue()
        thread = threading.Thread(target=self._capture, args=(loop, blocks), daemon=True)
        thread.start()
        while (block := await blocks.get()) is not None:
            yield block

    def _capture(self, loop: asyncio.AbstractEventLoop, blocks: asyncio.Queue[Any]) -> None:
        self.start_s = time.monotonic()
        for number in range(len(self._samples) // FRAME_SAMPLES):
            due = self.start_s + (number + 1) * FRAME_MS / 1_000
            time.sleep(max(0.0, due - time.monotonic()))
            self.late_ms.append((time.monotonic() - due) * 1_000)
            first = number * FRAME_SAMPLES
            loop.call_soon_threadsafe(blocks.put_nowait, self._samples[first : first + FRAME_SAMPLES])
        loop.call_soon_threadsafe(blocks.put_nowait, None)


async def speak(url: str, token: str, seconds: float, *, low_delay: bool) -> None:
    """Say the test signal, in real time, and leave."""
    microphone = FakeMicrophone(signal(seconds))
    async with roomtone.connect(url, token) as room:
        track = await room.publish(microphone, frame_ms=FRAME_MS, low_delay=low_delay)
        await track.wait()
        rtt_ms = room.statistics.rtt_ms
    late = sorted(microphone.late_ms)
    figures = {"p50": late[len(late) // 2], "p99": late[int(0.99 * len(late))], "max": late[-1]}
    print(json.dumps({"start_s": microphone.start_s, "late_ms": figures, "rtt_ms": rtt_ms}))


async def listen(url: str, token: str, path: str) -> None:
    """Play the first track until it is closed, and note when each frame was played."""
    frames: list[NDArray[np.int16]] = []
    played_s: list[float] = []
    async with roomtone.connect(url, token) as room:
        print("listening", flush=True)
        track = await room.next_track(timeout=20)
        stream = track.frames(frame_ms=FRAME_MS, jitter=roomtone.fixed(DEPTH_MS))
        async for frame in stream:
            played_s.append(time.monotonic())
            frames.append(frame.pcm)
        statistics = stream.statistics
    np.savez(path, heard=np.concatenate(frames), played_s=np.array(played_s))
    names = ("delay_ms", "depth_ms", "emitted_samples", "concealed_samples", "underruns", "late", "lost")
    told = {name: getattr(statistics, name) for name in names if hasattr(statistics, name)}
    print(json.dumps(told | {"skipped_frames": stream.skipped_frames}))


def main() -> None:
    role, url, token, *rest = sys.argv[1:]
    if role == "listen":
        asyncio.run(listen(url, token, rest[0]))
        return
    asyncio.run(speak(url, token, float(rest[0]), low_delay=rest[1] == "low-delay"))


if __name__ == "__main__":
    main()
