"""Writes schema/vectors/delay_controller.json: `python -m tests.sim.delay_vectors PATH`.

To be run when the delay controller is meant to behave differently, and only then.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from roomtone.media.delay import LOSSY, WEBSOCKET, DelayController, JitterSettings, Operation, fixed
from tests.sim.network import DatagramNetwork, Network, StreamNetwork, arrivals

Step = list[Any]
ABOUT = (
    "roomtone.media.delay.DelayController, step by step, in doubles. now in s, timestamps in ticks. Steps: "
    '["arrived", sequence, timestamp, now, frame_ms, fec, relative_ms, target_ms, jitter_ms]: the last three '
    'are returned, and the state after it; ["decide", timestamp, now, latency_ms, buffered_ms, silent, '
    "operation]: latency_ms(timestamp, now) and decide(latency_ms - target_ms, buffered_ms, silent, now); "
    '["stretched", now]; ["rebase"].'
)


def record(
    name: str,
    settings: JitterSettings,
    network: Network,
    seconds: float,
    *,
    frame_ms: float = 20.0,
    fec: Callable[[int], bool] = lambda index: False,
    broken_at: int | None = None,
    ppm: float = 0.0,
) -> dict[str, Any]:
    """One case: what the controller says to arrivals, and to a listener that does as it is told."""
    controller = DelayController(settings)
    steps: list[Step] = []
    frame_s = frame_ms / 1000 / (1 + ppm * 1e-6)
    ticks = int(frame_ms * 48)
    sent = [round(index * frame_s, 6) for index in range(int(seconds * 1000 / frame_ms))]
    waiting = list(arrivals(network, sent))
    position: int | None = None
    newest = 0
    pull = 0
    while waiting:
        pull += 1
        now = pull / 100
        while waiting and waiting[0].now <= now:
            index, at = waiting[0].index, round(waiting.pop(0).now, 6)
            broken = broken_at is not None and index >= broken_at
            timestamp = index * ticks + (10_000_000 if broken else 0)
            if index == broken_at:
                controller.rebase()
                steps.append(["rebase"])
            newest = max(newest, timestamp + ticks)
            relative = controller.arrived(index, timestamp, at, frame_ms=frame_ms, fec=fec(index))
            if position is None or index == broken_at:
                position = timestamp
            target, jitter = controller.target_ms, controller.jitter_ms
            steps.append(["arrived", index, timestamp, at, frame_ms, fec(index), relative, target, jitter])
        if position is not None and pull % 2 == 0:
            latency = controller.latency_ms(position, now)
            over = latency - controller.target_ms
            buffered = max(0.0, (newest - position) / 48.0)
            silent = pull % 70 < 10
            operation = controller.decide(over, buffered, silent, now)
            steps.append(["decide", position, now, latency, buffered, silent, operation.value])
            position += 960
            if operation is not Operation.NORMAL:
                position += -384 if operation in (Operation.EXPAND, Operation.FAST_EXPAND) else 384
                controller.stretched(now)
                steps.append(["stretched", now])
    return {"name": name, "settings": asdict(settings), "steps": steps}


def write(path: Path) -> None:
    """All cases, one step a line."""
    stalls = [(0.5, 0.8), (1.5, 1.7), (2.5, 2.78)]
    lossy = DatagramNetwork(1, jitter_ms=40, loss=0.05)
    cases = [
        record("lossy, jitter, loss, FEC", LOSSY, lossy, 6, fec=lambda index: index % 7 != 0),
        record("websocket, stalls, then calm", WEBSOCKET, StreamNetwork(2, stalls, jitter_ms=8), 14),
        record(
            "websocket, 10 ms frames, a fast clock",
            WEBSOCKET,
            StreamNetwork(3, jitter_ms=3),
            4,
            frame_ms=10.0,
            ppm=500.0,
        ),
        record("fixed depth", fixed(30.0), StreamNetwork(4, [(0.5, 0.7)], jitter_ms=5), 2),
        record("a broken time line", WEBSOCKET, DatagramNetwork(5, jitter_ms=20), 3, broken_at=60),
    ]
    lines = ["{", f'"about": {json.dumps(ABOUT)},', '"cases": [']
    for number, case in enumerate(cases):
        lines.append(f'{{"name": {json.dumps(case["name"])}, "settings": {json.dumps(case["settings"])},')
        lines.append('"steps": [')
        lines.append(",\n".join(json.dumps(step) for step in case["steps"]))
        lines.append("]}" + ("," if number < len(cases) - 1 else ""))
    path.write_text("\n".join([*lines, "]", "}", ""]))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
