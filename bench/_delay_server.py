"""A Roomtone server with an idle timer in its own event loop, for bench/delay.py.

stdin, a line each: `begin`, then `end`. stdout: `{"port": N}` when it serves, and at `end` how late the timer
came. The timer asks for 5 ms and does nothing: what it is late is what any callback of this loop waits.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys

import structlog
import uvloop
from _processes import free_port

import roomtone

PERIOD_S = 0.005


class IdleTimer:
    """Notes, in milliseconds, how much later than asked each call came."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.late_ms: list[float] = []
        self._next()

    def _next(self) -> None:
        due = self._loop.time() + PERIOD_S
        self._loop.call_at(due, self._call, due)

    def _call(self, due: float) -> None:
        # Timers of libuv count whole milliseconds, so up to 1 ms of this is rounding, not waiting.
        self.late_ms.append(max(0.0, self._loop.time() - due) * 1_000)
        self._next()


async def serve() -> None:
    port = free_port()
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    async with roomtone.Server(host="127.0.0.1", port=port, dev=True):
        timer = IdleTimer(loop)

        def on_line() -> None:
            word = sys.stdin.readline().strip()
            if word == "begin":
                timer.late_ms.clear()
                return
            late = sorted(timer.late_ms)
            figures = {f"p{q}": late[int(q / 100 * (len(late) - 1))] for q in (50, 90, 99)} if late else {}
            print(json.dumps({"samples": len(late), "max": max(late, default=0), **figures}), flush=True)
            if word != "end":
                stop.set()

        loop.add_reader(sys.stdin, on_line)
        print(json.dumps({"port": port}), flush=True)
        await stop.wait()
        loop.remove_reader(sys.stdin)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    uvloop.run(serve())
