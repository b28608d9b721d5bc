"""The jitter buffer, WebSocket settings, through the stalls of TCP: beside fixed buffers of the same depth."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from _jitter_play import PULL_S, Run, play

from roomtone.media.delay import WEBSOCKET, JitterSettings, fixed
from tests.sim.network import StreamNetwork, periodic_stalls

STALL_SECONDS = 60.0
STALL_SEEDS = tuple(range(1, 21))
HELD_OUT_SEEDS = tuple(range(101, 121))
"""No setting was chosen by these."""
SINGLE_STARTS_S = (20.0, 21.3, 22.9, 24.1, 25.7, 27.2, 30.4, 33.3)
"""In and between words: how fast time can be made up depends on what is said."""
Stalls = Sequence[tuple[float, float]]


def verdict(result: dict[str, Any]) -> str:
    return "met" if result["met"] else "MISSED"


def irregular_stalls(seed: int, until_s: float) -> Stalls:
    """100-300 ms, over 0.5 s apart, every 2 s in the mean."""
    chance = random.Random(seed)
    stalls = []
    start = 2.0
    while start < until_s:
        end = start + chance.uniform(0.1, 0.3)
        stalls.append((start, end))
        start = end + 0.5 + chance.expovariate(1 / 1.3)
    return stalls


def stalled_run(settings: JitterSettings, payloads: Sequence[bytes], seed: int, stalls: Stalls) -> Run:
    network = StreamNetwork(seed, stalls, jitter_ms=5)
    return play(settings, payloads, network, seconds=STALL_SECONDS - PULL_S, warm_s=PULL_S)


def single_stall(payloads: Sequence[bytes]) -> dict[str, Any]:
    """One stall of 300 ms, at several places: how deep before, and 3 s after it ended? The worst counts."""
    places = []
    for seed, start in enumerate(SINGLE_STARTS_S, 1):
        run = stalled_run(WEBSOCKET, payloads, seed, [(start, start + 0.3)])
        before = run.depths_ms[int((start - 0.1) / PULL_S)]
        after = max(run.depths_ms[int((start + 3.3) / PULL_S) : int((start + 10.0) / PULL_S)])
        places.append(
            {
                "start_s": start,
                "depth_before_ms": before,
                "deepest_ms": max(run.depths_ms[int(start / PULL_S) :]),
                "depth_from_3_s_after_ms": after,
                "over_ms": after - before,
                "concealed_ms": run.total("concealed_samples") / 48,
                "underruns": run.total("underruns"),
            }
        )
    worst = max(places, key=lambda place: place["over_ms"])
    return {**worst, "places": places, "met": worst["over_ms"] <= 40.0}


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
        tried = [run(replace(fixed(depth_ms + change), skip_late=skip_late)) for change in (-10.0, -5.0, 0.0, 5.0)]
        rivals.append(min(tried, key=lambda result: abs(result["depth_ms"] - depth_ms)))
    return min(rivals, key=lambda result: result["concealed_ms_a_minute"])


def repeated_stalls(payloads: Sequence[bytes], seeds: Sequence[int], *, irregular: bool = False) -> dict[str, Any]:
    """100-300 ms every 2 s: adaptive, and fixed buffers that are as deep as it was, after the third stall."""
    rows = []
    for seed in seeds:
        stalls: Stalls = (
            irregular_stalls(seed, STALL_SECONDS)
            if irregular
            else periodic_stalls(seed, first_s=2.0, every_s=2.0, until_s=STALL_SECONDS, shortest_ms=100, longest_ms=300)
        )
        since_s = stalls[2][1] + 0.5

        def run(settings: JitterSettings, seed: int = seed, stalls: Stalls = stalls, since_s: float = since_s) -> Any:
            return summary(stalled_run(settings, payloads, seed, stalls), since_s)

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


def print_single(single: dict[str, Any]) -> None:
    print("2. WebSocket settings")
    print(
        f"   one stall of 300 ms, the worst of {len(single['places'])} places: {single['depth_before_ms']:.0f} ms deep "
        f"before, {single['deepest_ms']:.0f} after, at most {single['depth_from_3_s_after_ms']:.0f} from 3 s on; "
        f"concealed {single['concealed_ms']:.0f} ms: {verdict(single)}"
    )


def print_repeated(name: str, repeated: dict[str, Any], *, goal: bool = True) -> None:
    print(f"   {name}; after the third: depth ms, concealed ms a minute, underruns")
    for row in repeated["rows"]:
        ours, best = row["adaptive"], row["fixed"]
        print(
            f"   seed {row['seed']:3d}: {ours['depth_ms']:4.0f} {ours['concealed_ms_a_minute']:5.0f} "
            f"{ours['underruns']:2d}, stretched {ours['stretched_percent']:.1f} %"
            f"   fixed {best['depth_ms']:4.0f} {best['concealed_ms_a_minute']:5.0f} {best['underruns']:2d}"
            f"   (whole minute: {ours['whole_depth_ms']:4.0f} {ours['whole_concealed_ms']:4.0f})"
        )
    print(
        f"   concealed ms a minute {repeated['adaptive_concealed_ms_a_minute']:.1f}, fixed "
        f"{repeated['fixed_concealed_ms_a_minute']:.1f}; at most {repeated['most_underruns_in_10_s']} underruns "
        f"in 10 s: {verdict(repeated) if goal else 'no goal'}"
    )
    whole = repeated["whole_minute_concealed_ms"]
    print(
        f"   whole minute, the first stalls included: concealed {whole['adaptive']:.0f} ms; a fixed buffer that had "
        f"its mean depth from the start: {whole['fixed_from_the_start']:.0f} ms (no goal: it knew the stalls)"
    )
