"""CPU per delivered and per inbound frame, against a C program that does the least possible (bench/floor.c).

The floor and Roomtone take turns, so that whatever else the machine does hits both; medians are compared.
CPU is the server process' own, by its CPU clock, over the measured seconds. Grants, outboxes and
acknowledgements are on.
"""

from __future__ import annotations

from statistics import median
from typing import Any

from _processes import floor, keep_to_load_cpu, plan, run_load, server
from _table import Row, arguments, console, finish

SHAPES = (
    # name, rooms, listeners besides the speaker, reach
    ("100 listeners of one speaker", 1, 100, 1.25),
    ("1,000 listeners of one speaker", 1, 1_000, 1.25),
    ("50 rooms of 10, one speaker each", 50, 9, 1.6),
)
PUBLISHERS = 100
INBOUND_REACH = 2.5


def fan_out(rooms: int, listeners: int, kind: str, seconds: float) -> dict[str, Any]:
    """One run of one server: `timer` and `relay` are floors, `roomtone` is the real one."""
    times = {"warmup_s": min(2.0, seconds), "seconds": seconds}
    if kind == "roomtone":
        with server() as (pid, port):
            result = run_load(port, plan(rooms, listeners, 1), "--spread", cpu_pid=pid, **times)
    else:
        with floor(kind, rooms) as (pid, port):
            seats = plan(rooms, listeners, 1 if kind == "relay" else 0)
            result = run_load(port, seats, "--spread", cpu_pid=pid, **times)
    expected = rooms * listeners * 50 * result["seconds"]
    if result["frames"] < 0.98 * expected or result["gone"]:
        lost = f"{result['frames']:,} of {expected:,.0f} frames, {result['gone']} connections lost"
        console.print(f"[red]{kind}: {lost}[/]")
    return _per_frame(kind, result, result["frames"])


def inbound(kind: str, flags: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """100 publishers, each alone in its room, and nobody listens."""
    times = {"warmup_s": min(2.0, seconds), "seconds": seconds}
    seats = plan(PUBLISHERS, 0, 1)
    if kind == "roomtone":
        with server() as (pid, port):
            result = run_load(port, seats, "--spread", *flags, cpu_pid=pid, **times)
    else:
        with floor("receive", 0) as (pid, port):
            result = run_load(port, seats, "--spread", *flags, cpu_pid=pid, **times)
    return _per_frame(kind, result, result["published"])


def _per_frame(kind: str, result: dict[str, Any], frames: int) -> dict[str, Any]:
    figures = {
        "us_per_frame": result["server_cpu_s"] * 1e6 / max(frames, 1),
        "frames": frames,
        "server_cpu_share": result["server_cpu_s"] / result["seconds"],
        "load_cpu_share": result["load_cpu_s"] / result["seconds"],
        "missing": result["missing"],
        "delay_ms": result["delay_ms"],
    }
    console.print(
        f"  {kind:9} {figures['us_per_frame']:6.2f} us a frame, {frames:,} frames, "
        f"server {figures['server_cpu_share']:.0%}, load {figures['load_cpu_share']:.0%} of a core",
        highlight=False,
    )
    return figures


def compare(name: str, reach: float | None, runs: dict[str, list[dict[str, Any]]], reference: str) -> Row:
    """The row of one shape: Roomtone's median over the reference's."""
    middle = {kind: median(run["us_per_frame"] for run in all_runs) for kind, all_runs in runs.items()}
    ratio = middle["roomtone"] / middle[reference]
    words = ", ".join(f"C {kind} {us:.2f} us" for kind, us in middle.items() if kind != "roomtone")
    return Row(
        name=name,
        measured=f"{middle['roomtone']:.2f} us, {ratio:.2f} x floor",
        reference=words,
        target="" if reach is None else f"<= {reach} x floor",
        met=None if reach is None else ratio <= reach,
        details={"ratio": ratio, "us_per_frame": middle, "runs": runs},
    )


def main() -> None:
    options = arguments("CPU per delivered and per inbound frame, against the C floor")
    keep_to_load_cpu()
    seconds, repeats = (1.0, 1) if options.quick else (8.0, 3)
    rows = []
    for name, rooms, listeners, reach in SHAPES:
        console.print(f"[bold]{name}[/]")
        runs: dict[str, list[dict[str, Any]]] = {"timer": [], "relay": [], "roomtone": []}
        for _ in range(repeats):
            for kind, done in runs.items():
                done.append(fan_out(rooms, listeners, kind, seconds))
        rows.append(compare(f"delivered: {name}", reach, runs, "timer"))
    for name, flags, target in (("evenly spread", (), INBOUND_REACH), ("all at once", ("--bunched",), None)):
        console.print(f"[bold]{PUBLISHERS} publishers, {name}[/]")
        runs = {"receive": [], "roomtone": []}
        for _ in range(repeats):
            for kind, done in runs.items():
                done.append(inbound(kind, flags, seconds))
        rows.append(compare(f"inbound: {PUBLISHERS} publishers, {name}", target, runs, "receive"))
    finish("CPU per frame", rows, options)


if __name__ == "__main__":
    main()
