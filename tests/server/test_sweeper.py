"""The slow clock goes on, whatever one connection or room does."""

from __future__ import annotations

import asyncio
from typing import cast

from roomtone.participants.websocket_connection import WebSocketConnection
from roomtone.server.sweeper import Sweeper
from tests.wire import eventually


class _Connection:
    peer = "test"

    def __init__(self, *, broken: bool = False) -> None:
        self.looks = 0
        self.broken = broken
        self.aborted = False

    def sweep(self, now: float) -> None:
        self.looks += 1
        if self.broken:
            raise ValueError("a broken connection")

    def abort(self) -> None:
        self.aborted = True


async def test_a_connection_that_fails_is_cut_and_the_others_are_looked_at() -> None:
    """One fault of ours ends one session, not all time-outs of the server."""
    ticks: list[float] = []

    def tick(now: float) -> None:
        ticks.append(now)
        raise ValueError("a broken room")

    sweeper = Sweeper(asyncio.get_running_loop(), tick)
    connections = [_Connection(broken=index == 3) for index in range(25)]
    for connection in connections:
        sweeper.add(cast(WebSocketConnection, connection))
    sweeper.start()
    await eventually(lambda: all(connection.looks > 1 for connection in connections))
    sweeper.stop()
    assert [connection.aborted for connection in connections] == [index == 3 for index in range(25)]
    assert len(ticks) > 3
    for connection in connections:
        sweeper.discard(cast(WebSocketConnection, connection))
    assert not any(sweeper._buckets)
