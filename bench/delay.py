"""Added one-way delay, server in to server out, 50 rooms of 10, with the server at about 70 % of one core.

A frame's clock starts right before the publisher's `send`, and stops when the kernel puts it into the
listener's socket, which on loopback happens inside the server's own `send`: the load's slowness is not in it.
The reference is an idle timer in the server's event loop: how late a callback comes that has nothing to do.
"""

from __future__ import annotations

import json
from typing import Any

from _processes import Seat, keep_to_load_cpu, plan, python_on_server_cpu, run_load
from _table import Row, arguments, console, finish

ROOMS, ROOM_SIZE = 50, 10
AIM_SHARE = 0.70
TOLERANCE = 0.04
FLOOR_MS, ABOVE_PROBE_MS = 5.0, 2.0


def seats_for(speakers: int) -> list[Seat]:
    """50 rooms of 10 with so many speakers in all, spread evenly."""
    seats = plan(ROOMS, 0, ROOM_SIZE)
    roles = []
    for room in range(ROOMS):
        here = speakers // ROOMS + (room < speakers % ROOMS)
        roles += ["s"] * here + ["l"] * (ROOM_SIZE - here)
    return [Seat(role, seat.room, seat.token) for role, seat in zip(roles, seats, strict=True)]


def measure(speakers: int, seconds: float) -> dict[str, Any]:
    """One run: the load's result with `share` of a core and the idle timer's lateness."""
    with python_on_server_cpu("_delay_server.py") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        stdin = process.stdin

        def say(word: str) -> None:
            stdin.write(f"{word}\n")
            stdin.flush()

        result = run_load(
            port,
            seats_for(speakers),
            "--spread",
            "--kernel-stamps",
            warmup_s=2,
            seconds=seconds,
            cpu_pid=process.pid,
            on_begin=lambda: say("begin"),
        )
        say("end")
        result["idle_timer_ms"] = json.loads(process.stdout.readline())
    result["share"] = result["server_cpu_s"] / result["seconds"]
    result["speakers"] = speakers
    probe, delay = result["idle_timer_ms"], result["delay_ms"]
    console.print(
        f"  {speakers} speakers: {result['share']:.0%} of a core, {result['frames'] / seconds:,.0f} frames/s "
        f"delay p50 {delay['p50']:.2f} p99 {delay['p99']:.2f} max {delay['max']:.2f} ms, idle timer "
        f"p99 {probe['p99']:.2f} max {probe['max']:.2f} ms, load {result['load_cpu_s'] / seconds:.0%}",
        highlight=False,
    )
    return result


def main() -> None:
    options = arguments("added one-way delay at 70 % of a core")
    keep_to_load_cpu()
    console.print(f"[bold]{ROOMS} rooms of {ROOM_SIZE}, more speakers until the server is at {AIM_SHARE:.0%}[/]")
    speakers, seconds = 100, 2.0
    result = measure(speakers, seconds)
    for _ in range(0 if options.quick else 4):
        speakers = min(ROOMS * ROOM_SIZE, max(ROOMS, round(speakers * AIM_SHARE / result["share"])))
        result = measure(speakers, 4.0)
        if abs(result["share"] - AIM_SHARE) < TOLERANCE:
            break
    if not options.quick:
        result = measure(speakers, 20.0)
    delay, probe = result["delay_ms"], result["idle_timer_ms"]
    reach_ms = max(FLOOR_MS, probe["p99"] + ABOVE_PROBE_MS)
    row = Row(
        name=f"added one-way delay, {ROOMS} rooms, {speakers} speakers, {result['share']:.0%} of a core",
        measured=f"p50 {delay['p50']:.2f}, p99 {delay['p99']:.2f}, max {delay['max']:.2f} ms",
        reference=f"idle timer p99 {probe['p99']:.2f}, max {probe['max']:.2f} ms",
        target=f"p99 <= {reach_ms:.1f} ms",
        met=delay["p99"] <= reach_ms,
        details=result,
    )
    finish("Delay", [row], options)


if __name__ == "__main__":
    main()
