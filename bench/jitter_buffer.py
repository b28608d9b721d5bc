"""The jitter buffer against its references, on a virtual clock: the same figures on every machine.

    python bench/jitter_buffer.py [--quick] [--json PATH]

1. Lossy settings, one set for all, jitter x loss, against Chromium's NetEq. 2. WebSocket settings through the
stalls of TCP, against fixed buffers in the same run. 3. A sender whose clock drifts. 4. What a pull costs here
(the only figure that depends on the machine). Exit code 1 if a goal is missed.

Delay is per sample, from its packet's arrival to the pull that it leaves with. Where NetEq's own count stops at
the decoder, ours goes on to the emission of every sample, so it is a few ms longer for the same buffer.
Concealed is what was neither decoded nor recovered by FEC, silence included.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _jitter_play import FRAME_S, FRAME_TICKS, PULL_S, WARM_S, encode_sample, play
from _jitter_stalls import (
    HELD_OUT_SEEDS,
    STALL_SEEDS,
    print_repeated,
    print_single,
    repeated_stalls,
    single_stall,
    verdict,
)

from roomtone.media.delay import LOSSY, WEBSOCKET
from roomtone.media.jitter import JitterBuffer
from roomtone.media.opus import OpusDecoder
from roomtone.media.opus_packet import has_fec
from roomtone.media.packet import Packet
from tests.sim.network import DatagramNetwork, StreamNetwork, arrivals

JITTERS_MS = (0, 10, 30, 60)
LOSSES_PERCENT = (0, 2, 5, 10)
NETEQ_SOURCE = "Chromium 156 NetEq (getStats; 20 ms Opus, in-band FEC, speech, 8 s warm-up + 24 s, one run a cell)"
NETEQ_DELAY_MS = (
    (29.8, 35.5, 44.5, 35.7),
    (33.9, 30.0, 31.0, 30.1),
    (53.0, 43.8, 41.6, 42.8),
    (55.9, 53.7, 62.9, 65.8),
)
NETEQ_CONCEALED_PERCENT = (
    (0.0, 0.10, 0.96, 2.66),
    (0.0, 0.24, 1.11, 2.73),
    (0.0, 0.27, 1.43, 2.26),
    (0.0, 0.43, 0.84, 2.77),
)


def lossy_table(seconds: float) -> dict[str, Any]:
    payloads = encode_sample(32_000, 10)
    cells = []
    for row, jitter_ms in enumerate(JITTERS_MS):
        for column, loss in enumerate(LOSSES_PERCENT):
            seed = 1000 + 10 * row + column
            network = DatagramNetwork(seed, jitter_ms=jitter_ms, loss=loss / 100)
            phase_s = random.Random(seed).uniform(0, FRAME_S)
            run = play(LOSSY, payloads, network, seconds=seconds, phase_s=phase_s)
            cells.append(
                {
                    "jitter_ms": jitter_ms,
                    "loss_percent": loss,
                    "delay_ms": run.delay_ms,
                    "concealed_percent": run.percent("concealed_samples"),
                    "stretched_percent": run.percent("accelerated_samples") + run.percent("expanded_samples"),
                    "target_ms": run.after.target_ms,
                    "neteq_delay_ms": NETEQ_DELAY_MS[row][column],
                    "neteq_concealed_percent": NETEQ_CONCEALED_PERCENT[row][column],
                }
            )
    names = (
        "delay_ms",
        "concealed_percent",
        "stretched_percent",
        "neteq_delay_ms",
        "neteq_concealed_percent",
    )
    means = {name: sum(cell[name] for cell in cells) / len(cells) for name in names}
    worst_ms = max(cell["delay_ms"] - cell["neteq_delay_ms"] for cell in cells)
    worst_points = max(cell["concealed_percent"] - cell["neteq_concealed_percent"] for cell in cells)
    return {
        "reference": NETEQ_SOURCE,
        "fec_share_percent": 100 * sum(map(has_fec, payloads)) / len(payloads),
        "seconds_a_cell": seconds,
        "cells": cells,
        "means": means,
        "worst_delay_over_ms": worst_ms,
        "worst_concealed_over_points": worst_points,
        "met": means["delay_ms"] <= means["neteq_delay_ms"]
        and means["concealed_percent"] <= means["neteq_concealed_percent"]
        and worst_ms <= 10.0
        and worst_points <= 0.5,
    }


def drift(payloads: Sequence[bytes], seconds: float) -> list[dict[str, Any]]:
    """A sender whose clock is 500 ppm too fast, or too slow."""
    rows = []
    for ppm in (500.0, -500.0):
        run = play(WEBSOCKET, payloads, StreamNetwork(1, jitter_ms=5), seconds=seconds, sender_ppm=ppm)
        depths = run.depths_ms[int(WARM_S / PULL_S) :]
        rows.append(
            {
                "ppm": ppm,
                "seconds": seconds,
                "least_depth_ms": min(depths),
                "most_depth_ms": max(depths),
                "underruns": run.total("underruns"),
                "concealed_samples": run.total("concealed_samples"),
                "stretched_percent": run.percent("accelerated_samples") + run.percent("expanded_samples"),
                "met": run.total("underruns") == 0 and max(depths) - min(depths) <= 30.0,
            }
        )
    return rows


def cost(payloads: Sequence[bytes]) -> dict[str, float]:
    """CPU of one pull of 10 ms, Opus included, through jitter and loss."""
    buffer = JitterBuffer(LOSSY, OpusDecoder(48_000, 1))
    network = DatagramNetwork(1, jitter_ms=30, loss=0.05)
    came = list(arrivals(network, (index * FRAME_S for index in range(3_000))))
    spent = []
    at = 0
    for pull in range(1, 6_000):
        now = pull * PULL_S
        while at < len(came) and came[at].now <= now:
            index = came[at].index
            payload = payloads[index % len(payloads)]
            buffer.push(Packet(1, index, index * FRAME_TICKS & 0xFFFFFFFF, payload), came[at].now)
            at += 1
        start = time.perf_counter()
        buffer.pop(now)
        spent.append(time.perf_counter() - start)
    return {"mean_us": float(np.mean(spent)) * 1e6, "p99_us": float(np.quantile(spent, 0.99)) * 1e6}


def print_lossy(table: dict[str, Any]) -> None:
    print(f"1. Lossy settings: delay ms / concealed %, in brackets {table['reference']}")
    print(f"   {table['seconds_a_cell']:.0f} s a cell; {table['fec_share_percent']:.0f} % of the packets carry FEC")
    for jitter_ms in JITTERS_MS:
        row = [cell for cell in table["cells"] if cell["jitter_ms"] == jitter_ms]
        cells = "   ".join(
            f"{cell['delay_ms']:4.1f}/{cell['concealed_percent']:4.2f} "
            f"({cell['neteq_delay_ms']:4.1f}/{cell['neteq_concealed_percent']:4.2f})"
            for cell in row
        )
        print(f"   jitter {jitter_ms:2d} ms, loss 0 2 5 10 %:  {cells}")
    means = table["means"]
    print(
        f"   mean {means['delay_ms']:.1f}/{means['concealed_percent']:.3f} "
        f"({means['neteq_delay_ms']:.1f}/{means['neteq_concealed_percent']:.3f}), worst cell "
        f"{table['worst_delay_over_ms']:+.1f} ms, {table['worst_concealed_over_points']:+.2f} points; "
        f"stretched {means['stretched_percent']:.3f} %: {verdict(table)}"
    )


def print_drift(rows: Iterable[dict[str, Any]]) -> None:
    print("3. Drift, WebSocket settings")
    for row in rows:
        print(
            f"   {row['ppm']:+.0f} ppm, {row['seconds']:.0f} s: {row['least_depth_ms']:.1f} to "
            f"{row['most_depth_ms']:.1f} ms deep, {row['underruns']:.0f} underruns, stretched "
            f"{row['stretched_percent']:.3f} %: {verdict(row)}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="The jitter buffer against its references.")
    parser.add_argument("--quick", action="store_true", help="60 s a cell instead of 300, too short for its goals")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the results there too")
    options = parser.parse_args()
    lossy = lossy_table(60.0 if options.quick else 300.0)
    print_lossy(lossy)
    payloads = encode_sample(32_000, 0)
    single = single_stall(payloads)
    print_single(single)
    repeated = repeated_stalls(payloads, STALL_SEEDS)
    print_repeated("stalls of 100-300 ms every 2 s", repeated)
    held_out = repeated_stalls(payloads, HELD_OUT_SEEDS)
    print_repeated("the same, other seeds", held_out)
    irregular = repeated_stalls(payloads, HELD_OUT_SEEDS, irregular=True)
    print_repeated("stalls of 100-300 ms at irregular times, every 2 s in the mean", irregular, goal=False)
    drifts = drift(payloads, 60.0 if options.quick else 600.0)
    print_drift(drifts)
    pull = cost(encode_sample(32_000, 10))
    print(f"4. A pull of 10 ms costs {pull['mean_us']:.0f} us in the mean, p99 {pull['p99_us']:.0f} us")
    met = all(result["met"] for result in (lossy, single, repeated, held_out, *drifts))
    if options.json:
        results = {
            "quick": options.quick,
            "lossy": lossy,
            "single_stall": single,
            "repeated_stalls": repeated,
            "repeated_stalls_held_out": held_out,
            "irregular_stalls": irregular,
            "drift": drifts,
            "pull": pull,
            "met": met,
        }
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0 if met or options.quick else 1


if __name__ == "__main__":
    sys.exit(main())
