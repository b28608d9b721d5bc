"""Resident memory per idle connection: 2,000 sessions in rooms of 10, that only answer pings."""

from __future__ import annotations

from _processes import keep_to_load_cpu, plan, resident_bytes, run_load, server
from _table import Row, arguments, finish

REACH_KB = 20.0
ROOM_SIZE = 10


def main() -> None:
    options = arguments("resident memory per idle connection")
    keep_to_load_cpu()
    connections = 200 if options.quick else 2_000
    seats = plan(connections // ROOM_SIZE, ROOM_SIZE, 0)
    with server() as (pid, port):
        before = resident_bytes(pid)
        at_begin: list[int] = []
        result = run_load(
            port,
            seats,
            "--spread",
            warmup_s=1,
            seconds=1 if options.quick else 12,
            cpu_pid=pid,
            on_begin=lambda: at_begin.append(resident_bytes(pid)),
        )
        after = resident_bytes(pid)
    each_kb = (at_begin[0] - before) / connections / 1_000
    row = Row(
        name=f"resident memory per idle connection, {connections:,} connections in rooms of {ROOM_SIZE}",
        measured=f"{each_kb:.1f} KB",
        reference=f"process before: {before / 1e6:.1f} MB, with them: {at_begin[0] / 1e6:.1f} MB",
        target=f"<= {REACH_KB:.0f} KB",
        met=each_kb <= REACH_KB,
        details={
            "kb_per_connection": each_kb,
            "before_bytes": before,
            "joined_bytes": at_begin[0],
            "after_bytes": after,
            "idle_cpu_share": result["server_cpu_s"] / result["seconds"],
            "gone": result["gone"],
        },
    )
    finish("Memory", [row], options)


if __name__ == "__main__":
    main()
