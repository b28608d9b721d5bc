"""`roomtone bench`: a quick load test with this package's own clients. The deep benchmarks live in bench/."""

from __future__ import annotations

import asyncio
import resource
import struct
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from roomtone.cli.exits import ExitCode
from roomtone.cli.options import Json, Quiet, Token
from roomtone.cli.output import Output

if TYPE_CHECKING:
    from roomtone.client.remote_track import RemoteTrack
    from roomtone.client.room import Room
    from roomtone.server.app import Server

app = typer.Typer(help="Quick load tests.", no_args_is_help=True, rich_markup_mode=None)

FRAME_MS = 20
RATE_HZ = 16_000
_STAMP = struct.Struct("<d")
_FRAME_BYTES = RATE_HZ * FRAME_MS // 1000 * 2
JOINS_AT_ONCE = 50
SETTLE_S = 0.3


@app.callback()
def _root() -> None:
    """Quick load tests."""


@app.command("fanout")
def fanout(
    listeners: Annotated[int, typer.Option("--listeners", min=1, max=5_000, help="In each room.")] = 50,
    rooms: Annotated[int, typer.Option("--rooms", min=1, max=500, help="With one speaker each.")] = 1,
    seconds: Annotated[float, typer.Option("--seconds", min=0.5, help="How long to measure.")] = 10,
    url: Annotated[
        str | None,
        typer.Option("--url", envvar="ROOMTONE_URL", help="A running server. [default: one in this process]"),
    ] = None,
    token: Token = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """One speaker a room, many listeners: what arrives, and how late.

    Frames are 20 ms of 16 kHz PCM that carry their time of sending. Server (where it is in this process), speakers
    and listeners share one core, so the figures are an upper bound of what a server alone would need.
    """
    from roomtone.cli.running import run_command

    fan = Fanout(listeners, rooms, seconds, url, token, Output(json=json, quiet=quiet))
    return run_command(fan.run())


@dataclass(slots=True)
class Fanout:
    """One run."""

    listeners: int
    rooms: int
    seconds: float
    url: str | None
    token: str | None
    output: Output
    delays_ms: list[float] = field(default_factory=list)
    sent: int = 0
    server: Server | None = None

    async def run(self) -> int:
        """The exit code: failed where frames went missing."""
        from roomtone.cli.settings import own_config
        from roomtone.server.app import Server
        from roomtone.server.logging import setup_logging

        setup_logging("console", "warning")
        async with AsyncExitStack() as stack:
            url = self.url
            if url is None:
                everybody = self.rooms * (self.listeners + 1)
                config = own_config(
                    port=0,
                    dev=True,
                    log_level="warning",
                    drain_timeout_s=0,
                    max_connections=everybody,
                    max_connections_per_ip=everybody,
                )
                self.server = await stack.enter_async_context(Server(config))
                url = self.server.url
            row = await self._measure(url, stack)
        if self.output.json:
            self.output.write_json(row)
        else:
            figures = [{"figure": heading, "value": row[key]} for key, heading in _FIGURES.items()]
            self.output.table("fan-out", figures, {"figure": "figure", "value": "value"})
        return ExitCode.OK if row["missing"] == 0 else ExitCode.FAILED

    async def _measure(self, url: str, stack: AsyncExitStack) -> dict[str, Any]:
        speakers = [await self._seat(url, f"bench-{number}", "speaker", stack) for number in range(self.rooms)]
        tracks = [
            await room.open_track(codec="pcm_16k", sample_rate_hz=RATE_HZ, frame_ms=FRAME_MS, name="bench")
            for room in speakers
        ]
        hearing = await self._seat_listeners(url, stack)
        self.output.note(f"{self.rooms} rooms of {self.listeners} listeners at {url}, {self.seconds:g} s, please wait")
        loop = asyncio.get_running_loop()
        used_before, began = _cpu_s(), loop.time()
        due = began
        while loop.time() - began < self.seconds:
            for track in tracks:
                track.write(_STAMP.pack(time.perf_counter()) + bytes(_FRAME_BYTES - _STAMP.size))
                self.sent += 1
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - loop.time()))
        elapsed, used = loop.time() - began, _cpu_s() - used_before
        await asyncio.sleep(SETTLE_S)
        for task in hearing:
            task.cancel()
        return self._row(elapsed, used)

    async def _seat_listeners(self, url: str, stack: AsyncExitStack) -> list[asyncio.Task[None]]:
        gate = asyncio.Semaphore(JOINS_AT_ONCE)

        async def join(room: int, number: int) -> Room:
            async with gate:
                return await self._seat(url, f"bench-{room}", f"listener-{number}", stack)

        joined = await asyncio.gather(
            *(join(room, number) for room in range(self.rooms) for number in range(self.listeners))
        )
        return [asyncio.create_task(self._hear(await room.next_track(timeout=10))) for room in joined]

    async def _seat(self, url: str, room: str, identity: str, stack: AsyncExitStack) -> Room:
        from roomtone.cli.access import token_for
        from roomtone.client.connect import connect

        if self.server is not None:
            bearer = self.server.token(identity, room=room)
        else:
            bearer = token_for(url, self.token, identity=identity, room=room)
        return await stack.enter_async_context(connect(url, bearer, room=room))

    async def _hear(self, track: RemoteTrack) -> None:
        # uvloop's own clock counts whole milliseconds.
        async for packet in track.packets():
            (sent_at,) = _STAMP.unpack_from(packet.payload)
            self.delays_ms.append((time.perf_counter() - sent_at) * 1000)

    def _row(self, elapsed_s: float, used_s: float) -> dict[str, Any]:
        delays = sorted(self.delays_ms)
        expected = self.sent * self.listeners
        return {
            "rooms": self.rooms,
            "listeners": self.rooms * self.listeners,
            "seconds": round(elapsed_s, 2),
            "sent": self.sent,
            "delivered": len(delays),
            "missing": expected - len(delays),
            "delivered_per_s": round(len(delays) / elapsed_s),
            "delay_p50_ms": _quantile(delays, 0.5),
            "delay_p99_ms": _quantile(delays, 0.99),
            "delay_max_ms": _quantile(delays, 1.0),
            "cpu_percent": round(100 * used_s / elapsed_s, 1),
        }


_FIGURES = {
    "rooms": "rooms",
    "listeners": "listeners",
    "sent": "frames sent",
    "delivered": "frames delivered",
    "missing": "frames missing",
    "delivered_per_s": "delivered a second",
    "delay_p50_ms": "delay p50, ms",
    "delay_p99_ms": "delay p99, ms",
    "delay_max_ms": "delay max, ms",
    "cpu_percent": "CPU of this process, %",
}


def _quantile(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


def _cpu_s() -> float:
    """Of this process, so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
