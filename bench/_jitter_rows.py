"""The jitter buffer's figures, which are tables of their own, as rows of the common one."""

from __future__ import annotations

from typing import Any

from _table import Row


def jitter_rows(figures: dict[str, Any]) -> list[Row]:
    """What bench/jitter_buffer.py wrote, in four rows."""
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
            "jitter buffer, WebSocket: one stall of 300 ms",
            f"from 3 s after it at most {single['depth_from_3_s_after_ms']:.0f} ms deep",
            f"{single['depth_before_ms']:.0f} ms before",
            "within 40 ms of before in 3 s",
            single["met"],
        ),
        Row(
            "jitter buffer, WebSocket: stalls of 100-300 ms every 2 s",
            f"{repeated['adaptive_concealed_ms_a_minute']:.1f} ms a minute concealed, "
            f"{repeated['most_underruns_in_10_s']} underruns in 10 s",
            f"fixed buffers of the same depth: {repeated['fixed_concealed_ms_a_minute']:.1f} ms",
            "<= fixed; <= 1 underrun in 10 s",
            repeated["met"],
        ),
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
