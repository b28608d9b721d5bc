"""The jitter buffer's figures, which are tables of their own, as rows of the common one."""

from __future__ import annotations

from typing import Any

from _table import Row


def jitter_rows(figures: dict[str, Any]) -> list[Row]:
    """What bench/jitter_buffer.py wrote, a row for each of its parts."""
    lossy, single, repeated = figures["lossy"], figures["single_stall"], figures["repeated_stalls"]
    means = lossy["means"]
    rows = [
        Row(
            "jitter buffer, lossy: mean of 16 cells, jitter 0-60 ms x loss 0-10 %",
            f"{means['delay_ms']:.1f} ms, {means['concealed_percent']:.2f} % concealed, "
            f"{means['stretched_percent']:.2f} % stretched; worst cell {lossy['worst_delay_over_ms']:+.1f} ms, "
            f"{lossy['worst_concealed_over_points']:+.2f} points",
            f"NetEq: {means['neteq_delay_ms']:.1f} ms, {means['neteq_concealed_percent']:.2f} % concealed",
            "means <= NetEq's; no cell worse by over 10 ms or 0.5 points",
            lossy["met"],
        ),
        Row(
            f"jitter buffer, WebSocket: one stall of 300 ms, the worst of {len(single['places'])} places",
            f"from 3 s after it at most {single['depth_from_3_s_after_ms']:.0f} ms deep",
            f"{single['depth_before_ms']:.0f} ms before",
            "within 40 ms of before in 3 s",
            single["met"],
        ),
        stalls_row("of 100-300 ms every 2 s", repeated),
        stalls_row("the same, seeds that no setting was chosen by", figures["repeated_stalls_held_out"]),
        stalls_row("the same, at irregular times", figures["irregular_stalls"], goal=False),
    ]
    for one in figures["drift"]:
        rows.append(
            Row(
                f"jitter buffer: a sender's clock {one['ppm']:+.0f} ppm off, {one['seconds']:.0f} s",
                f"{one['least_depth_ms']:.0f} to {one['most_depth_ms']:.0f} ms deep, {one['underruns']:.0f} underruns",
                "",
                "no underrun",
                one["met"],
            )
        )
    return rows


def stalls_row(name: str, repeated: dict[str, Any], *, goal: bool = True) -> Row:
    """Concealed time after the third stall, which has a goal, and over the whole minute, which has none."""
    whole = repeated["whole_minute_concealed_ms"]
    return Row(
        f"jitter buffer, WebSocket: stalls, {name}",
        f"{repeated['adaptive_concealed_ms_a_minute']:.1f} ms a minute concealed after the third, "
        f"{repeated['most_underruns_in_10_s']} underruns in 10 s; whole minute {whole['adaptive']:.0f} ms",
        f"fixed buffers of the same depth: {repeated['fixed_concealed_ms_a_minute']:.1f} ms; "
        f"whole minute {whole['fixed_from_the_start']:.0f} ms",
        "<= fixed; <= 1 underrun in 10 s" if goal else "",
        repeated["met"] if goal else None,
    )
