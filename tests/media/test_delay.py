from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from roomtone.media.delay import LOSSY, WEBSOCKET, DelayController, JitterSettings, Operation, fixed
from tests.sim.network import DatagramNetwork, Network, StreamNetwork, arrivals

VECTORS = Path(__file__).resolve().parents[2] / "schema" / "vectors" / "delay_controller.json"


def feed(
    controller: DelayController, network: Network, seconds: float, *, fec: bool = False, ppm: float = 0.0
) -> float:
    """20 ms frames through a network; returns when it ended."""
    count = int(seconds * 50)
    step = 0.02 / (1 + ppm * 1e-6)
    for arrival in arrivals(network, (index * step for index in range(count))):
        controller.arrived(arrival.index, arrival.index * 960, arrival.now, frame_ms=20.0, fec=fec)
    return seconds


@pytest.mark.parametrize(("jitter_ms", "wanted_ms"), [(0, 10), (10, 10), (30, 30), (60, 60)])
def test_the_target_covers_the_jitter(jitter_ms: float, wanted_ms: float) -> None:
    """After 20 s the target is the quantile of the delays, to a bin."""
    controller = DelayController(LOSSY)
    feed(controller, DatagramNetwork(1, jitter_ms=jitter_ms), 20.0)
    assert controller.target_ms == pytest.approx(wanted_ms, abs=5.0)


def test_a_frame_is_added_where_copies_of_lost_packets_are_worth_it() -> None:
    """With 5 % loss and FEC the target rises by one frame; not without FEC, nor without loss."""
    targets = []
    for loss, fec in ((0.05, True), (0.05, False), (0.0, True)):
        controller = DelayController(LOSSY)
        feed(controller, DatagramNetwork(2, jitter_ms=30, loss=loss), 60.0, fec=fec)
        assert controller.loss == pytest.approx(loss, abs=0.025)
        targets.append(controller.target_ms)
    assert targets[0] - targets[1] == pytest.approx(20.0, abs=5.0)
    assert targets[2] == pytest.approx(targets[1], abs=5.0)


def test_one_stall_moves_the_target_for_two_seconds_and_two_for_longer() -> None:
    """A burst counts once; a second stall within 10 s is a pattern, and is forgotten after a while."""
    controller = DelayController(WEBSOCKET)
    feed(controller, StreamNetwork(3, [(10.0, 10.3)]), 12.2)
    assert controller.target_ms == pytest.approx(285.0, abs=15.0)
    controller = DelayController(WEBSOCKET)
    feed(controller, StreamNetwork(3, [(10.0, 10.3)]), 12.4)
    assert controller.target_ms <= 20.0
    controller = DelayController(WEBSOCKET)
    feed(controller, StreamNetwork(3, [(10.0, 10.3)]), 15.0)
    assert controller.target_ms <= 20.0
    controller = DelayController(WEBSOCKET)
    feed(controller, StreamNetwork(3, [(10.0, 10.3), (13.0, 13.25)]), 15.0)
    assert controller.target_ms > 280.0
    controller = DelayController(WEBSOCKET)
    feed(controller, StreamNetwork(3, [(10.0, 10.3), (13.0, 13.25)]), 30.0)
    assert controller.target_ms <= 20.0


@pytest.mark.parametrize("ppm", [-500.0, 500.0])
def test_a_drifting_clock_moves_the_latency_and_not_the_target(ppm: float) -> None:
    """The fastest path follows 500 ppm, so the relative delays stay small."""
    controller = DelayController(WEBSOCKET)
    end = feed(controller, StreamNetwork(4), 120.0, ppm=ppm)
    assert controller.target_ms <= 15.0
    newest = (int(end * 50) - 1) * 960
    arrival = (newest / 960) * 0.02 / (1 + ppm * 1e-6)
    assert abs(controller.latency_ms(newest, arrival)) < 3.0


def test_operations_have_hysteresis_and_an_interval() -> None:
    """Speeding up begins well over the target, ends close to it, and leaves gaps between splices."""
    controller = DelayController(fixed(50.0))
    assert controller.decide(14.0, 20.0, False, 0.0) is Operation.NORMAL
    assert controller.decide(16.0, 20.0, False, 0.0) is Operation.ACCELERATE
    controller.stretched(0.0)
    assert controller.decide(10.0, 20.0, False, 0.02) is Operation.NORMAL
    assert controller.decide(10.0, 20.0, False, 0.05) is Operation.ACCELERATE
    assert controller.decide(4.0, 20.0, False, 0.06) is Operation.NORMAL
    assert controller.decide(10.0, 20.0, False, 0.07) is Operation.NORMAL
    assert controller.decide(250.0, 20.0, False, 0.08) is Operation.FAST_ACCELERATE
    assert controller.decide(0.0, 20.0, False, 0.5) is Operation.NORMAL
    assert controller.decide(-11.0, 20.0, False, 0.6) is Operation.EXPAND
    assert controller.decide(-5.0, 20.0, False, 0.7) is Operation.EXPAND
    assert controller.decide(0.0, 20.0, False, 0.8) is Operation.NORMAL


def test_silence_is_cut_earlier_and_a_stall_is_bridged() -> None:
    """5 ms too much is cut in silence; when nothing comes the last part of the buffer is slowed down."""
    controller = DelayController(fixed(200.0))
    assert controller.decide(6.0, 150.0, False, 0.0) is Operation.NORMAL
    assert controller.decide(6.0, 150.0, True, 0.0) is Operation.ACCELERATE
    controller = DelayController(WEBSOCKET)
    end = feed(controller, StreamNetwork(3, [(10.0, 10.3), (13.0, 13.25)]), 15.0)
    assert controller.decide(0.0, 0.4 * controller.target_ms, False, end) is Operation.NORMAL
    assert controller.decide(0.0, 0.7 * controller.target_ms, False, end + 0.1) is Operation.NORMAL
    assert controller.decide(0.0, 0.4 * controller.target_ms, False, end + 0.1) is Operation.FAST_EXPAND


def test_a_fixed_target_does_not_move() -> None:
    """Whatever arrives, the target stays."""
    controller = DelayController(fixed(10.0))
    feed(controller, DatagramNetwork(5, jitter_ms=100, loss=0.1), 20.0)
    assert controller.target_ms == 10.0


def test_the_target_is_bounded() -> None:
    """Minutes of jitter do not make the buffer deeper than its settings say."""
    controller = DelayController(JitterSettings(max_target_ms=200.0))
    feed(controller, DatagramNetwork(6, jitter_ms=3_000), 20.0)
    assert controller.target_ms == 200.0


def test_a_broken_time_line_is_forgotten() -> None:
    """After `rebase` a new transit time is the fastest again."""
    controller = DelayController(WEBSOCKET)
    controller.arrived(0, 0, 1.0, frame_ms=20.0, fec=False)
    assert controller.transit_jump_ms(960, 9.0) == pytest.approx(7_980.0)
    controller.rebase()
    assert controller.arrived(1, 960, 9.0, frame_ms=20.0, fec=False) == 0.0
    assert controller.latency_ms(960, 9.05) == pytest.approx(50.0)


def case_names() -> list[str]:
    return [case["name"] for case in json.loads(VECTORS.read_text())["cases"]]


@pytest.mark.parametrize("name", case_names())
def test_golden_vectors(name: str) -> None:
    """Every step of schema/vectors/delay_controller.json gives exactly the numbers written there."""
    case: dict[str, Any] = next(c for c in json.loads(VECTORS.read_text())["cases"] if c["name"] == name)
    settings = JitterSettings(**case["settings"])
    assert asdict(settings) == case["settings"]
    controller = DelayController(settings)
    for kind, *step in case["steps"]:
        if kind == "arrived":
            sequence, timestamp, now, frame_ms, fec, relative_ms, target_ms, jitter_ms = step
            assert relative_ms == controller.arrived(sequence, timestamp, now, frame_ms=frame_ms, fec=fec)
            assert (target_ms, jitter_ms) == (controller.target_ms, controller.jitter_ms)
        elif kind == "decide":
            timestamp, now, latency_ms, buffered_ms, silent, operation = step
            over_ms = latency_ms - controller.target_ms
            assert latency_ms == controller.latency_ms(timestamp, now)
            assert operation == controller.decide(over_ms, buffered_ms, silent, now).value
        elif kind == "stretched":
            controller.stretched(*step)
        else:
            assert kind == "rebase"
            controller.rebase()
