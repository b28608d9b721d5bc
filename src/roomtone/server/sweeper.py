"""The server's slow clock: it looks at each connection four times a second, and ticks the rooms twelve times.

Every turn is a wake-up, which costs a quiet server more than what is done in it; so there are few turns, and
long ones are cut into slices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from roomtone.logs import get_logger
from roomtone.participants.websocket import LOOK_INTERVAL_S
from roomtone.participants.websocket_connection import WebSocketConnection

log = get_logger(__name__)

BUCKETS: Final = 3
"""Turns a look: the rooms want to be ticked each 100 ms at the least."""
SLICE_CONNECTIONS: Final = 500
"""At 1 to 4 us a connection, two milliseconds at the most."""


class Sweeper:
    """Calls sweep(now) of every connection each LOOK_INTERVAL_S, and `tick` once a turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: Callable[[float], None]) -> None:
        self._loop = loop
        self._tick = tick
        self._buckets: list[set[WebSocketConnection]] = [set() for _ in range(BUCKETS)]
        self._next = 0
        self._timer: asyncio.Handle | None = None
        self._slice: asyncio.Handle | None = None
        self._waiting: list[WebSocketConnection] = []
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
        for handle in (self._timer, self._slice):
            if handle is not None:
                handle.cancel()
        self._timer = self._slice = None
        self._waiting.clear()

    def _turn(self) -> None:
        now = self._loop.time()
        # First of all: whatever fails below, the clock goes on.
        self._due = max(self._due + LOOK_INTERVAL_S / BUCKETS, now)
        self._timer = self._loop.call_at(self._due, self._turn)
        try:
            self._tick(now)
        except Exception as error:
            # The root of this tick: the next one may go better, and the connections are looked at all the same.
            log.exception("tick failed", error=repr(error))
        # What an overloaded loop did not get to in the last turn is looked at in its next one.
        self._waiting = list(self._buckets[self._next])
        self._next = (self._next + 1) % BUCKETS
        if self._slice is not None:
            self._slice.cancel()
        self._look()

    def _look(self) -> None:
        now = self._loop.time()
        waiting = self._waiting
        self._slice = self._loop.call_soon(self._look) if len(waiting) > SLICE_CONNECTIONS else None
        for connection in waiting[-SLICE_CONNECTIONS:]:
            try:
                connection.sweep(now)
            except Exception as error:
                # The root of this look at this connection: the others are looked at all the same.
                log.exception("a look at a connection failed", peer=connection.peer, error=repr(error))
                connection.abort()
        del waiting[-SLICE_CONNECTIONS:]
