"""A broadcaster over an hour of virtual time, sample by sample, and over real time, against an idle timer."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import selectors
import tempfile
import time
import wave
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from _table import Row, finish

from roomtone.media.packet import FLAG_TALKSPURT_END, Packet
from roomtone.participants.broadcaster import Broadcaster, BroadcastOptions, BroadcastStatus
from roomtone.room.events import RoomEvent
from roomtone.room.grants import Grants
from roomtone.room.options import RoomOptions
from roomtone.room.room import Room
from roomtone.sources.policy import SourcePolicy

RATE_HZ = 44_100
FILE_SAMPLES = (441_001, 132_307, 88_199, 1_000_003, 7, 617_411, 299_993)
"""Seven files, 7 samples to 23 s; each length is odd, and none is whole at 48 kHz."""
FRAME_MS = 20
FRAME_TICKS = 960
REACH_P99_MS = 3.0


class Listener:
    """Notes when each packet came, how the timestamps went on, and how many ticks that makes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.times: list[float] = []
        self._clock = clock
        self.gaps = 0
        self.ticks = 0
        self.ended = False
        self._next: tuple[int, int] | None = None

    def deliver(self, packet: Packet, now: float) -> None:
        self.times.append(self._clock())
        at = (packet.sequence, packet.timestamp)
        self.gaps += self._next is not None and at != self._next
        self._next = ((packet.sequence + 1) & 0xFFFF, (packet.timestamp + FRAME_TICKS) & 0xFFFF_FFFF)
        self.ticks += FRAME_TICKS
        self.ended = bool(packet.flags & FLAG_TALKSPURT_END)

    def notify(self, event: RoomEvent, now: float) -> None:
        """Events are not measured here."""


class VirtualTime(selectors.BaseSelector):
    """Turns waiting into progress of the clock, as soon as the source's thread has filled its queue."""

    def __init__(self) -> None:
        self.now = 0.0
        self.source: Any = None
        self._real = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return self._real.select(timeout)
        while not self._settled():
            events = self._real.select(0.0005)
            if events:
                return events
        self.now += timeout
        return self._real.select(0)

    def _settled(self) -> bool:
        queue = self.source and self.source._queue
        return queue is None or queue._ended or len(queue) >= queue._low

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while nothing is to be done."""

    def __init__(self) -> None:
        self.virtual = VirtualTime()
        super().__init__(self.virtual)

    def time(self) -> float:
        return self.virtual.now


def make_files(directory: Path) -> list[Path]:
    """The playlist's files: noise, so that every sample is told from the next."""
    rng = np.random.default_rng(7)
    paths = []
    for index, samples in enumerate(FILE_SAMPLES):
        path = directory / f"{index}.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(rng.integers(-3_000, 3_000, samples).astype("<i2").tobytes())
        paths.append(path)
    return paths


def make_hall(now: float, clock: Callable[[], float]) -> tuple[Room, Listener]:
    ids = itertools.count()
    room = Room("bench", RoomOptions(), ids=lambda kind: f"{kind}{next(ids)}", now=now)
    listener = Listener(clock)
    room.join(listener, "listener", Grants(), now)
    return room, listener


async def play(
    paths: list[Path], options: BroadcastOptions, loop: VirtualLoop | None
) -> tuple[Listener, BroadcastStatus]:
    """The playlist to its end, in virtual time where a virtual loop is given."""
    clock = asyncio.get_running_loop().time
    room, listener = make_hall(clock(), clock)
    broadcaster = Broadcaster(room, paths, identity="radio", policy=SourcePolicy.local(), options=options)
    if loop is not None:
        loop.virtual.source = broadcaster._source
    await broadcaster.start()
    status = await broadcaster.wait()
    if status.error:
        raise RuntimeError(status.error)
    return listener, status


def virtual_hour(paths: list[Path], seconds: float) -> Row:
    """As many rounds as an hour takes: is every sample there, once, and each timestamp where it must be?"""
    round_s = Fraction(sum(FILE_SAMPLES), RATE_HZ)
    rounds = max(1, -(-int(seconds) // int(round_s)))
    exact = round_s * rounds * 48_000
    loop = VirtualLoop()
    began = time.perf_counter()
    try:
        options = BroadcastOptions(loop=rounds, complexity=0, linger_ms=0)
        listener, status = loop.run_until_complete(play(paths, options, loop))
    finally:
        loop.close()
    took_s = time.perf_counter() - began
    off = listener.ticks - exact
    drift_s = listener.times[-1] - listener.times[0] + options.lead_ms / 1_000 - (listener.ticks - FRAME_TICKS) / 48_000
    good = 0 <= off <= FRAME_TICKS and not listener.gaps and not status.underruns and listener.ended
    return Row(
        name=f"playlist of {len(paths)} files at 44.1 kHz, {float(exact) / 48_000:,.0f} s of virtual time",
        measured=f"{float(off):+.1f} samples, {listener.gaps} gaps, clock {drift_s * 1_000:+.3f} ms off",
        reference=f"sum of the durations: {float(exact):,.1f}; took {took_s:.0f} s",
        target=f"+- 1 frame ({FRAME_TICKS}), 0 gaps",
        met=good and abs(drift_s) < 0.001,
        details={
            "samples_out": listener.ticks,
            "samples_exact": float(exact),
            "gaps": listener.gaps,
            "rounds": status.loops,
            "clock_off_ms": drift_s * 1_000,
            "underruns": status.underruns,
            "took_s": took_s,
        },
    )


async def probe(seconds: float) -> list[float]:
    """How late an idle timer is that wants to run every frame, on the same loop: milliseconds."""
    loop = asyncio.get_running_loop()
    first = loop.time() + 0.007
    start = time.perf_counter() + 0.007
    late: list[float] = []
    done = asyncio.Event()

    def tick(index: int) -> None:
        late.append((time.perf_counter() - start - index * FRAME_MS / 1_000) * 1_000)
        if index * FRAME_MS / 1_000 < seconds:
            loop.call_at(first + (index + 1) * FRAME_MS / 1_000, tick, index + 1)
        else:
            done.set()

    loop.call_at(first, tick, 0)
    await done.wait()
    return late


async def play_and_probe(paths: list[Path], seconds: float) -> tuple[Listener, BroadcastStatus, list[float]]:
    # The loop's own time has whole milliseconds under uvloop.
    room, listener = make_hall(asyncio.get_running_loop().time(), time.perf_counter)
    options = BroadcastOptions(loop=True)
    broadcaster = Broadcaster(room, paths, identity="radio", policy=SourcePolicy.local(), options=options)
    await broadcaster.start()
    late = await probe(seconds)
    status = broadcaster.status
    await broadcaster.stop()
    return listener, status, late


def real_time(paths: list[Path], seconds: float) -> Row:
    """How far each packet was from its place on a straight line of 20 ms steps."""
    listener, status, probed = uvloop.run(play_and_probe(paths, seconds))
    times = np.array(listener.times)
    lead_frames = round(BroadcastOptions().lead_ms / FRAME_MS)
    # The first packets go out at once, `lead_ms` ahead; packet n is then due n - lead frames after the first.
    due = times[0] + np.maximum(0, np.arange(len(times)) - lead_frames) * FRAME_MS / 1_000
    error_ms = np.abs(times - due) * 1_000
    p50, p99, worst = np.percentile(error_ms, [50, 99, 100])
    probe_p50, probe_p99, probe_worst = np.percentile(np.abs(probed), [50, 99, 100])
    return Row(
        name=f"pacing error, {seconds:.0f} s of real time, Opus encoded in its thread",
        measured=f"p50 {p50:.2f}, p99 {p99:.2f}, max {worst:.2f} ms",
        reference=f"idle timer: p50 {probe_p50:.2f}, p99 {probe_p99:.2f}, max {probe_worst:.2f} ms",
        target=f"p99 < {REACH_P99_MS:.0f} ms",
        met=bool(p99 < REACH_P99_MS) and not listener.gaps and not status.underruns,
        details={
            "p50_ms": p50,
            "p99_ms": p99,
            "max_ms": worst,
            "probe_p50_ms": probe_p50,
            "probe_p99_ms": probe_p99,
            "probe_max_ms": probe_worst,
            "packets": len(times),
            "gaps": listener.gaps,
            "underruns": status.underruns,
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="a broadcaster's samples and pacing")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="a smoke test: figures of no worth")
    parser.add_argument("--seconds", type=float, default=60, help="of real time (60)")
    parser.add_argument("--virtual-seconds", type=float, default=3_600, help="of virtual time (3600)")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.virtual_seconds = 3, 60
    with tempfile.TemporaryDirectory() as directory:
        paths = make_files(Path(directory))
        rows = [virtual_hour(paths, options.virtual_seconds), real_time(paths, options.seconds)]
    finish("Broadcaster", rows, options)


if __name__ == "__main__":
    main()
