"""Delivery to large rooms in slices, so that no room holds the event loop for more than a few milliseconds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from roomtone.logs import get_logger
from roomtone.media.packet import Packet

log = get_logger(__name__)

Deliver = Callable[[Packet, float], None]

SLICE_LISTENERS: Final = 256
"""At about 5 us a delivery, 1.3 ms."""
MAX_PENDING_PACKETS: Final = 400
"""Past it the oldest packet is dropped for the listeners that it has not reached: the loop is overloaded."""


class Spreader:
    """Hands packets to long lists of listeners, one slice per turn of the event loop, in the order they came."""

    __slots__ = ("_loop", "_pending", "_scheduled", "dropped_deliveries")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pending: deque[tuple[Packet, tuple[Deliver, ...], int]] = deque()
        self._scheduled = False
        self.dropped_deliveries = 0

    def __call__(self, packet: Packet, listeners: tuple[Deliver, ...], now: float) -> None:
        """Deliver to the first slice at once where nothing waits before it, and to the rest in later turns."""
        pending = self._pending
        start = 0
        if not pending:
            start = SLICE_LISTENERS
            for deliver in listeners[:start]:
                deliver(packet, now)
            if start >= len(listeners):
                return
        elif len(pending) >= MAX_PENDING_PACKETS:
            _, dropped, reached = pending.popleft()
            self.dropped_deliveries += len(dropped) - reached
        pending.append((packet, listeners, start))
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._slice)

    def _slice(self) -> None:
        pending = self._pending
        if not pending:
            self._scheduled = False
            return
        packet, listeners, start = pending[0]
        end = start + SLICE_LISTENERS
        # Before any listener is called: one that fails must not take the later slices, of every room, with it.
        if end < len(listeners):
            pending[0] = (packet, listeners, end)
        else:
            pending.popleft()
        now = self._loop.time()
        for deliver in listeners[start:end]:
            try:
                deliver(packet, now)
            except Exception as error:
                # The root of a turn of the loop: the room that published is long gone from the stack.
                log.exception("a listener failed", error=repr(error))
        if pending:
            self._loop.call_soon(self._slice)
        else:
            self._scheduled = False
