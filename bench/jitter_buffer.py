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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.sim.network import DatagramNetwork, Network, StreamNetwork, arrivals, periodic_stalls

from roomtone.media.delay import LOSSY, WEBSOCKET, JitterSettings, fixed
from roomtone.media.jitter import JitterBuffer
from roomtone.media.jitter_statistics import JitterStatistics
from roomtone.media.opus import OpusDecoder, OpusEncoder
from roomtone.media.opus_packet import has_fec
from roomtone.media.packet import Packet

SAMPLE = Path(__file__).resolve().parent.parent / "src" / "roomtone" / "assets" / "sample.flac"
FRAME_S = 0.02
FRAME_TICKS = 960
PULL_S = 0.01
WARM_S = 8.0
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


def encode_sample(bitrate_bps: int, expected_loss_percent: int) -> list[bytes]:
    """The spoken sample as 20 ms Opus packets with in-band FEC."""
    resampler = av.AudioResampler("s16", "mono", 48_000)
    with av.open(str(SAMPLE)) as container:
        pieces = [
            out.to_ndarray().reshape(-1) for frame in container.decode(audio=0) for out in resampler.resample(frame)
        ]
    sound = np.concatenate(pieces)
    encoder = OpusEncoder(
        48_000,
        1,
        bitrate_bps=bitrate_bps,
        inband_fec=expected_loss_percent > 0,
        expected_loss_percent=expected_loss_percent,
    )
    return [encoder.encode(sound[at : at + FRAME_TICKS]) for at in range(0, len(sound) - FRAME_TICKS + 1, FRAME_TICKS)]


@dataclass
class Run:
    """What one simulated listener saw, with a sample of its state at every pull."""

    before: JitterStatistics
    after: JitterStatistics
    measured_s: float
    depths_ms: list[float] = field(default_factory=list)
    underruns: list[float] = field(default_factory=list)
    concealed: list[tuple[float, int]] = field(default_factory=list)

    def total(self, name: str) -> float:
        return float(getattr(self.after, name) - getattr(self.before, name))

    @property
    def delay_ms(self) -> float:
        return self.total("waited_ms") / max(1.0, self.total("emitted_samples"))

    def percent(self, name: str) -> float:
        return 100.0 * self.total(name) / (self.measured_s * 48_000)


def play(
    settings: JitterSettings,
    payloads: Sequence[bytes],
    network: Network,
    *,
    seconds: float,
    warm_s: float = WARM_S,
    phase_s: float = 0.0,
    sender_ppm: float = 0.0,
) -> Run:
    """Send `payloads` over and over for warm_s + seconds, and listen. sender_ppm: how fast its clock is."""
    step = FRAME_S / (1.0 + sender_ppm * 1e-6)
    count = int((warm_s + seconds) / step)
    came = list(arrivals(network, (phase_s + index * step for index in range(count))))
    buffer = JitterBuffer(settings, OpusDecoder(48_000, 1))
    before: JitterStatistics | None = None
    run_depths: list[float] = []
    underruns: list[float] = []
    concealed: list[tuple[float, int]] = []
    last = buffer.statistics
    at = 0
    for pull in range(1, int((warm_s + seconds) / PULL_S)):
        now = pull * PULL_S
        while at < len(came) and came[at].now <= now:
            arrival = came[at]
            at += 1
            index = arrival.index
            buffer.push(
                Packet(1, index & 0xFFFF, index * FRAME_TICKS & 0xFFFFFFFF, payloads[index % len(payloads)]),
                arrival.now,
            )
        buffer.pop(now)
        statistics = buffer.statistics
        run_depths.append(statistics.depth_ms)
        if statistics.underruns > last.underruns:
            underruns.append(now)
        if statistics.concealed_samples > last.concealed_samples:
            concealed.append((now, statistics.concealed_samples - last.concealed_samples))
        last = statistics
        if before is None and now >= warm_s:
            before = statistics
    assert before is not None
    return Run(before, last, seconds, run_depths, underruns, concealed)


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


STALL_SECONDS = 60.0
STALL_SEEDS = tuple(range(1, 21))


def stalled_run(settings: JitterSettings, payloads: Sequence[bytes], network: Network) -> Run:
    return play(settings, payloads, network, seconds=STALL_SECONDS - PULL_S, warm_s=PULL_S)


def single_stall(payloads: Sequence[bytes]) -> dict[str, Any]:
    """One stall of 300 ms after 20 s: how deep before, and 3 s after it ended?"""
    run = stalled_run(WEBSOCKET, payloads, StreamNetwork(1, [(20.0, 20.3)], jitter_ms=5))
    before = run.depths_ms[int(19.9 / PULL_S)]
    after = max(run.depths_ms[int(23.3 / PULL_S) : int(30.0 / PULL_S)])
    return {
        "depth_before_ms": before,
        "deepest_ms": max(run.depths_ms[int(20.0 / PULL_S) :]),
        "depth_from_3_s_after_ms": after,
        "concealed_ms": run.total("concealed_samples") / 48,
        "underruns": run.total("underruns"),
        "met": after <= before + 40.0,
    }


def summary(run: Run, since_s: float) -> dict[str, Any]:
    """The time from since_s on, and the whole run."""
    late = [at for at in run.underruns if at > since_s]
    return {
        "depth_ms": float(np.mean(run.depths_ms[int(since_s / PULL_S) :])),
        "concealed_ms_a_minute": sum(samples for at, samples in run.concealed if at > since_s)
        / 48
        * 60
        / (STALL_SECONDS - since_s),
        "underruns": len(late),
        "most_underruns_in_10_s": max((sum(at <= other < at + 10 for other in late) for at in late), default=0),
        "whole_depth_ms": float(np.mean(run.depths_ms)),
        "whole_concealed_ms": run.total("concealed_samples") / 48,
        "stretched_percent": run.percent("accelerated_samples") + run.percent("expanded_samples"),
    }


def best_fixed(run: Callable[[JitterSettings], dict[str, Any]], depth_ms: float) -> dict[str, Any]:
    """The better of two kinds of fixed buffer, each set so that it is as deep as that in the mean.

    One drops what is late, the other plays it later. A buffer begins at a pull, so not every depth can be had:
    the nearest is taken.
    """
    rivals = []
    for skip_late in (True, False):
        tried = [run(replace(fixed(depth_ms + change), skip_late=skip_late)) for change in (-15.0, -10.0, -5.0, 0.0)]
        rivals.append(min(tried, key=lambda result: abs(result["depth_ms"] - depth_ms)))
    return min(rivals, key=lambda result: result["concealed_ms_a_minute"])


def repeated_stalls(payloads: Sequence[bytes]) -> dict[str, Any]:
    """100-300 ms every 2 s: adaptive, and fixed buffers that are as deep as it was, after the third stall."""
    rows = []
    for seed in STALL_SEEDS:
        stalls = periodic_stalls(seed, first_s=2.0, every_s=2.0, until_s=STALL_SECONDS, shortest_ms=100, longest_ms=300)
        since_s = stalls[2][1] + 0.5

        def run(settings: JitterSettings, seed: int = seed, stalls: Any = stalls, since_s: float = since_s) -> Any:
            return summary(stalled_run(settings, payloads, StreamNetwork(seed, stalls, jitter_ms=5)), since_s)

        ours = run(WEBSOCKET)
        best = best_fixed(run, ours["depth_ms"])
        foreseen = run(fixed(ours["whole_depth_ms"]))
        rows.append({"seed": seed, "adaptive": ours, "fixed": best, "fixed_from_the_start": foreseen})
    ours_ms = float(np.mean([row["adaptive"]["concealed_ms_a_minute"] for row in rows]))
    fixed_ms = float(np.mean([row["fixed"]["concealed_ms_a_minute"] for row in rows]))
    whole = {
        name: float(np.mean([row[name]["whole_concealed_ms"] for row in rows]))
        for name in ("adaptive", "fixed_from_the_start")
    }
    most = max(row["adaptive"]["most_underruns_in_10_s"] for row in rows)
    return {
        "rows": rows,
        "adaptive_concealed_ms_a_minute": ours_ms,
        "fixed_concealed_ms_a_minute": fixed_ms,
        "most_underruns_in_10_s": most,
        "whole_minute_concealed_ms": whole,
        "met": most <= 1 and ours_ms <= fixed_ms,
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


def print_stalls(single: dict[str, Any], repeated: dict[str, Any]) -> None:
    print("2. WebSocket settings")
    print(
        f"   one stall of 300 ms: {single['depth_before_ms']:.0f} ms deep before, {single['deepest_ms']:.0f} after, "
        f"at most {single['depth_from_3_s_after_ms']:.0f} from 3 s on; concealed {single['concealed_ms']:.0f} ms: "
        f"{verdict(single)}"
    )
    print("   stalls of 100-300 ms every 2 s; after the third: depth ms, concealed ms a minute, underruns")
    for row in repeated["rows"]:
        ours, best = row["adaptive"], row["fixed"]
        print(
            f"   seed {row['seed']:2d}: {ours['depth_ms']:4.0f} {ours['concealed_ms_a_minute']:5.0f} "
            f"{ours['underruns']:2d}, stretched {ours['stretched_percent']:.1f} %"
            f"   fixed {best['depth_ms']:4.0f} {best['concealed_ms_a_minute']:5.0f} {best['underruns']:2d}"
            f"   (whole minute: {ours['whole_depth_ms']:4.0f} {ours['whole_concealed_ms']:4.0f})"
        )
    print(
        f"   concealed ms a minute {repeated['adaptive_concealed_ms_a_minute']:.1f}, fixed "
        f"{repeated['fixed_concealed_ms_a_minute']:.1f}; at most {repeated['most_underruns_in_10_s']} underruns "
        f"in 10 s: {verdict(repeated)}"
    )


def print_whole(repeated: dict[str, Any]) -> None:
    whole = repeated["whole_minute_concealed_ms"]
    print(
        f"   whole minute, the first stalls included: concealed {whole['adaptive']:.0f} ms; a fixed buffer that had "
        f"its mean depth from the start: {whole['fixed_from_the_start']:.0f} ms (no goal: it knew the stalls)"
    )


def print_drift(rows: Iterable[dict[str, Any]]) -> None:
    print("3. Drift, WebSocket settings")
    for row in rows:
        print(
            f"   {row['ppm']:+.0f} ppm, {row['seconds']:.0f} s: {row['least_depth_ms']:.1f} to "
            f"{row['most_depth_ms']:.1f} ms deep, {row['underruns']:.0f} underruns, stretched "
            f"{row['stretched_percent']:.3f} %: {verdict(row)}"
        )


def verdict(result: dict[str, Any]) -> str:
    return "met" if result["met"] else "MISSED"


def main() -> int:
    parser = argparse.ArgumentParser(description="The jitter buffer against its references.")
    parser.add_argument("--quick", action="store_true", help="60 s a cell instead of 300, too short for its goals")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the results there too")
    options = parser.parse_args()
    lossy = lossy_table(60.0 if options.quick else 300.0)
    print_lossy(lossy)
    payloads = encode_sample(32_000, 0)
    single, repeated = single_stall(payloads), repeated_stalls(payloads)
    print_stalls(single, repeated)
    print_whole(repeated)
    drifts = drift(payloads, 60.0 if options.quick else 600.0)
    print_drift(drifts)
    pull = cost(encode_sample(32_000, 10))
    print(f"4. A pull of 10 ms costs {pull['mean_us']:.0f} us in the mean, p99 {pull['p99_us']:.0f} us")
    met = lossy["met"] and single["met"] and repeated["met"] and all(row["met"] for row in drifts)
    if options.json:
        results = {
            "quick": options.quick,
            "lossy": lossy,
            "single_stall": single,
            "repeated_stalls": repeated,
            "drift": drifts,
            "pull": pull,
            "met": met,
        }
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0 if met or options.quick else 1


if __name__ == "__main__":
    sys.exit(main())
