"""`roomtone bench`."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.cli.conftest import Ran

Command = Callable[..., Ran]


def test_every_frame_arrives_in_process(roomtone: Command) -> None:
    """A server of its own, two rooms, every frame to each listener."""
    done = roomtone("bench", "fanout", "--rooms", "2", "--listeners", "3", "--seconds", "0.5", "--json")
    assert done.code == 0, done.err
    row = json.loads(done.out)
    assert (row["listeners"], row["missing"]) == (6, 0)
    assert row["delivered"] == row["sent"] * 3 > 0
    assert 0 <= row["delay_p50_ms"] <= row["delay_p99_ms"] <= row["delay_max_ms"]


def test_a_running_server_is_measured(roomtone: Command, url: str) -> None:
    """Through its sockets; people get a table."""
    done = roomtone("bench", "fanout", "--listeners", "2", "--seconds", "0.5", "--url", url)
    assert done.code == 0, done.err
    assert "frames missing" in done.out
    assert "\x1b" not in done.out
