"""The server's slow clock: each connection is looked at four times a second, a tenth of them at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from roomtone.logs import get_logger
from roomtone.participants.websocket_connection import WebSocketConnection

log = get_logger(__name__)

LOOK_INTERVAL_S: Final = 0.25
BUCKETS: Final = 10
"""Two thousand connections are 200 a turn, about half a millisecond."""


class Sweeper:
    """Calls sweep(now) of every connection each LOOK_INTERVAL_S, and `tick` once a turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: Callable[[float], None]) -> None:
        self._loop = loop
        self._tick = tick
        self._buckets: list[set[WebSocketConnection]] = [set() for _ in range(BUCKETS)]
        self._next = 0
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0

    def add(self, connection: WebSocketConnection) -> None:
        """Look at it from now on; the emptiest bucket takes it."""
        min(self._buckets, key=len).add(connection)

    def discard(self, connection: WebSocketConnection) -> None:
        """Look at it no more."""
        for bucket in self._buckets:
            bucket.discard(connection)

    def start(self) -> None:
        """Begin; stop() ends it."""
        self._due = self._loop.time()
        self._turn()

    def stop(self) -> None:
        """Idempotent."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _turn(self) -> None:
        now = self._loop.time()
        bucket = self._buckets[self._next]
        self._next = (self._next + 1) % BUCKETS
        # First of all: whatever fails below, the clock goes on.
        self._due = max(self._due + LOOK_INTERVAL_S / BUCKETS, now)
        self._handle = self._loop.call_at(self._due, self._turn)
        for connection in tuple(bucket):
            try:
                connection.sweep(now)
            except Exception as error:
                # The root of this look at this connection: the others are looked at all the same.
                log.exception("a look at a connection failed", peer=connection.peer, error=repr(error))
                connection.abort()
        try:
            self._tick(now)
        except Exception as error:
            log.exception("tick failed", error=repr(error))
