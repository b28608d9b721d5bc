"""Mouth to ear: from a sample's capture to its playout, through a server and two Python clients on loopback.

Three processes. The microphone is a thread that hands over 10 ms blocks of a chirp train; the ear is the time at
which `frames()` gives out the frame that holds a chirp. Devices' own buffers are not in it. The idle timer is
the microphone's thread: how late the machine itself wakes a sleeper.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from _bursts import RATE_HZ, burst_starts, delays_ms
from _ear_clients import DEPTH_MS, FRAME_MS, FRAME_SAMPLES
from _processes import BENCH, LOAD_CPU, keep_to_load_cpu, pinned, server
from _table import Row, arguments, console, finish

from roomtone.media.opus import Application, OpusEncoder
from roomtone.server.auth import DEV_KEY, mint

MODES = (("voip", Application.VOIP, 35.0), ("low-delay", Application.LOW_DELAY, 28.0))
LATE_SHARE = 0.005
CALLS, CALL_S = 10, 4.0
ROOM = "bench-ear"


def client(*arguments: str) -> subprocess.Popen[str]:
    """One end in a process of its own."""
    return subprocess.Popen(
        [sys.executable, str(BENCH / "_ear_clients.py"), *arguments],
        stdout=subprocess.PIPE,
        preexec_fn=pinned(LOAD_CPU),
        text=True,
    )


def run(mode: str, seconds: float, directory: Path) -> dict[str, Any]:
    """One call: the delay of each chirp, and what both ends tell."""
    path = str(directory / f"{mode}.npz")
    with server() as (_, port):
        url = f"http://127.0.0.1:{port}"
        ear = client("listen", url, mint(DEV_KEY, "ear", room=ROOM), path)
        assert ear.stdout is not None
        ear.stdout.readline()
        mouth = client("speak", url, mint(DEV_KEY, "mouth", room=ROOM), str(seconds), mode)
        said, _ = mouth.communicate(timeout=seconds + 30)
        heard, _ = ear.communicate(timeout=30)
    if mouth.returncode or ear.returncode:
        sys.exit("a client failed; its lines above say why")
    told = json.loads(said)
    recording = np.load(path)
    starts_s = [told["start_s"] + start / RATE_HZ for start in burst_starts(seconds)]
    delays = delays_ms(starts_s, recording["heard"], FRAME_SAMPLES, recording["played_s"])
    pulls = np.diff(recording["played_s"]) * 1_000
    return {
        "delays_ms": delays,
        "chirps": len(starts_s),
        "microphone": told,
        "playout": json.loads(heard),
        "pull_interval_ms": {"p1": float(np.quantile(pulls, 0.01)), "p99": float(np.quantile(pulls, 0.99))},
    }


def row_of(mode: str, application: Application, reach_ms: float, result: dict[str, Any], seconds: float) -> Row:
    """The figures of one mode beside the sum of its parts."""
    delays = np.array(result["delays_ms"])
    playout = result["playout"]
    encoder = OpusEncoder(application=application)
    lookahead_ms = encoder.lookahead_samples * 1_000 / RATE_HZ
    encoder.close()
    p50, p99 = (float(np.quantile(delays, share)) for share in (0.5, 0.99))
    late_share = playout["concealed_samples"] / (seconds * RATE_HZ)
    stall = result["microphone"]["late_ms"]
    waited_ms = playout.get("delay_ms", DEPTH_MS)
    parts_ms = FRAME_MS + lookahead_ms + waited_ms
    result |= {"p50_ms": p50, "p99_ms": p99, "max_ms": float(delays.max()), "late_share": late_share}
    return Row(
        name=f"mouth to ear, {mode}, {FRAME_MS} ms frames, fixed {DEPTH_MS:.0f} ms, {seconds:.0f} s",
        measured=f"p50 {p50:.1f}, p99 {p99:.1f}, max {delays.max():.1f} ms; late {late_share:.2%}",
        reference=(
            f"parts: frame {FRAME_MS} + Opus {lookahead_ms:.1f} + buffer {waited_ms:.1f} = {parts_ms:.1f} ms; "
            f"a sleeper is late p99 {stall['p99']:.2f}, max {stall['max']:.1f} ms"
        ),
        target=f"p50 <= {reach_ms:.0f} ms, late <= {LATE_SHARE:.1%}",
        met=p50 <= reach_ms and late_share <= LATE_SHARE,
        details=result,
    )


def starts_row(mode: str, reach_ms: float, calls: list[dict[str, Any]]) -> Row:
    """Where the listener's pulls lie between the packets' arrivals is chance, anew in each call: so many calls."""
    middles = sorted(float(np.median(call["delays_ms"])) for call in calls)
    over = sum(one > reach_ms for one in middles)
    return Row(
        name=f"the same, {mode}, {len(calls)} further calls of {CALL_S:.0f} s",
        measured=f"p50 of the calls {middles[0]:.1f} to {middles[-1]:.1f} ms, {over} over {reach_ms:.0f} ms",
        reference="",
        target=f"each p50 <= {reach_ms:.0f} ms",
        met=over == 0,
        details={"p50_ms": middles, "calls": calls},
    )


def main() -> None:
    options = arguments("mouth to ear through a server and two clients")
    keep_to_load_cpu()
    seconds = 5.0 if options.quick else 60.0
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for mode, application, reach_ms in MODES:
            result = run(mode, seconds, Path(directory))
            rows.append(row_of(mode, application, reach_ms, result, seconds))
            console.print(f"  {mode}: {len(result['delays_ms'])} of {result['chirps']} chirps found again")
            calls = [run(mode, CALL_S, Path(directory)) for _ in range(2 if options.quick else CALLS)]
            rows.append(starts_row(mode, reach_ms, calls))
    finish("Mouth to ear", rows, options)


if __name__ == "__main__":
    main()
