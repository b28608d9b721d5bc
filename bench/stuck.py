"""A stuck listener among 200: it stops reading, and nobody else may notice.

Runs with and without it take turns; the others' p99 is compared by medians. In the last run the server's own
metrics are read ten times a second: when it began to drop the stuck listener's audio, when it closed it, what
memory did.
"""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from statistics import median
from typing import Any

from _processes import keep_to_load_cpu, plan, resident_bytes, run_load, server
from _table import Row, arguments, console, finish

LISTENERS = 200
WITHIN = 1.10
DROP_WITHIN_S, CLOSE_WITHIN_S = 1.5, 12.0
GROWTH_LIMIT_BYTES = 4_000_000
DROPPED = re.compile(r"^roomtone_listener_dropped_frames_total ([0-9.e+]+)$", re.MULTILINE)
CLOSED = re.compile(r'^roomtone_connections_closed_total\{close="too_slow"\} ([0-9.e+]+)$', re.MULTILINE)


def run(stuck: int, seconds: float) -> dict[str, Any]:
    """One run of one speaker and 200 listeners, of whom `stuck` get stuck at its beginning."""
    with server() as (pid, port):
        seats = plan(1, LISTENERS - stuck, 1, stuck=stuck)
        flags = ("--spread", "--kernel-stamps")
        result = run_load(port, seats, *flags, warmup_s=2, seconds=seconds, cpu_pid=pid)
    delay = result["delay_ms"]
    console.print(
        f"  {'with   ' if stuck else 'without'} p50 {delay['p50']:.3f} p99 {delay['p99']:.3f} "
        f"max {delay['max']:.2f} ms, closes {result['closes']}",
        highlight=False,
    )
    return result


class Watch:
    """Reads /metrics and the resident memory ten times a second, from begin() to end()."""

    def __init__(self, pid: int, port: int) -> None:
        self._pid, self._url = pid, f"http://127.0.0.1:{port}/metrics"
        self._thread = threading.Thread(target=self._run)
        self._stop = threading.Event()
        self._start = 0.0
        self.dropped_after_s: float | None = None
        self.closed_after_s: float | None = None
        self.resident: list[int] = []

    def begin(self) -> None:
        self._start = time.monotonic()
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.1):
            with urllib.request.urlopen(self._url, timeout=5) as answer:
                text = answer.read().decode()
            at = time.monotonic() - self._start
            self.resident.append(resident_bytes(self._pid))
            if self.dropped_after_s is None and _total(DROPPED, text) > 0:
                self.dropped_after_s = at
            if self.closed_after_s is None and _total(CLOSED, text) > 0:
                self.closed_after_s = at


def _total(pattern: re.Pattern[str], text: str) -> float:
    return sum(float(value) for value in pattern.findall(text))


def watched(seconds: float) -> tuple[Watch, dict[str, Any]]:
    """One run with a stuck listener, and the server's metrics read meanwhile."""
    with server() as (pid, port):
        watch = Watch(pid, port)
        seats = plan(1, LISTENERS - 1, 1, stuck=1)
        result = run_load(port, seats, "--spread", warmup_s=2, seconds=seconds, on_begin=watch.begin)
        watch.end()
    return watch, result


def rows_of(runs: dict[int, list[dict[str, Any]]], watch: Watch, last: dict[str, Any]) -> list[Row]:
    """What the table says of it."""
    p99 = {stuck: median(run["delay_ms"]["p99"] for run in done) for stuck, done in runs.items()}
    cut_s = min((one["after_s"] for one in last["closes"] if one["role"] == "k"), default=None)
    grown = max(watch.resident) - watch.resident[0]
    dropped_s, closed_s = watch.dropped_after_s, watch.closed_after_s
    return [
        Row(
            name=f"a stuck listener among {LISTENERS}: the others' p99 delay",
            measured=f"{p99[1]:.3f} ms",
            reference=f"{p99[0]:.3f} ms without it",
            target="within 10 % of without",
            met=p99[1] <= WITHIN * p99[0],
            details={"p99_ms": p99, "runs": runs},
        ),
        Row(
            name="its audio is dropped, counted by the server",
            measured="never" if dropped_s is None else f"after {dropped_s:.2f} s",
            reference="",
            target=f"within {DROP_WITHIN_S} s",
            met=dropped_s is not None and dropped_s <= DROP_WITHIN_S,
        ),
        Row(
            name="it is closed as too_slow",
            measured="never" if closed_s is None else f"after {closed_s:.2f} s",
            reference="" if cut_s is None else f"its socket saw the end after {cut_s:.2f} s",
            target=f"within {CLOSE_WITHIN_S:.0f} s",
            met=closed_s is not None and closed_s <= CLOSE_WITHIN_S,
            details={"closes": last["closes"]},
        ),
        Row(
            name="the server's resident memory meanwhile",
            measured=f"grew {grown / 1e6:.2f} MB at most",
            reference=f"{watch.resident[0] / 1e6:.1f} MB",
            target=f"<= {GROWTH_LIMIT_BYTES / 1e6:.0f} MB",
            met=grown <= GROWTH_LIMIT_BYTES,
        ),
    ]


def main() -> None:
    options = arguments("a stuck listener among 200")
    keep_to_load_cpu()
    repeats, seconds, last_s = (1, 2.0, 2.0) if options.quick else (6, 8.0, 14.0)
    console.print(f"[bold]one speaker, {LISTENERS} listeners, with and without a stuck one[/]")
    runs: dict[int, list[dict[str, Any]]] = {0: [], 1: []}
    for _ in range(repeats):
        for stuck, done in runs.items():
            done.append(run(stuck, seconds))
    watch, last = watched(last_s)
    finish("A stuck listener", rows_of(runs, watch, last), options)


if __name__ == "__main__":
    main()
