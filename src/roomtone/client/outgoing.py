"""Control messages, in order and no faster than a server takes them: past its limits it closes the connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from roomtone.protocol.messages import Message, Playout, encode

# A server's defaults are 100 messages and 256 KiB a second, and twice as much at once. What is left here is for
# pings, reports and the like, and for a connection that delivers late what was sent in time.
COMMANDS_SHARE: Final = 0.6
PLAYOUT_SHARE: Final = 0.25
COMMANDS_PER_S: Final = 100 * COMMANDS_SHARE
PLAYOUT_PER_S: Final = 100 * PLAYOUT_SHARE
COMMAND_BYTES_PER_S: Final = 180_000.0
BURST_S: Final = 2.0
_POLL_S: Final = 0.02


class Rate:
    """So much a second on average, and that of `burst_s` seconds at once. Times are monotonic seconds."""

    def __init__(self, per_s: float, burst_s: float = BURST_S) -> None:
        self._per_s = per_s
        self._burst_s = burst_s
        self._due = float("-inf")

    def change(self, per_s: float) -> None:
        """Another rate from now on; what was spent stays spent."""
        self._per_s = per_s

    def ready(self, now: float) -> bool:
        """Whether something may be sent."""
        return self._due - now < self._burst_s

    def spend(self, amount: float, now: float) -> None:
        """So much was sent."""
        self._due = max(self._due, now) + amount / self._per_s


class Outgoing:
    """What the server is to be told, over all connections. send: gives one message to the transport, at once."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._queue: deque[bytes] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._commands = Rate(COMMANDS_PER_S)
        self._bytes = Rate(COMMAND_BYTES_PER_S, BURST_S / 2)
        self._playout = Rate(PLAYOUT_PER_S)

    def obey(self, messages_per_s: int) -> None:
        """The server told how many control messages a second it takes."""
        self._commands.change(messages_per_s * COMMANDS_SHARE)
        self._playout.change(messages_per_s * PLAYOUT_SHARE)

    def stop(self) -> None:
        """The connection is gone: forget what waits. A resumed session's count goes on, here as at the server."""
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def put(self, message: Message) -> None:
        """Send it now, or after what was put before. A playout report that would have to wait is dropped: the next
        one says more."""
        if isinstance(message, Playout):
            now = self._loop.time()
            if self._playout.ready(now):
                self._playout.spend(1, now)
                self._send(encode(message))
            return
        self._queue.append(encode(message))
        if self._timer is None:
            self._pump()

    def _pump(self) -> None:
        self._timer = None
        queue, now = self._queue, self._loop.time()
        while queue and self._commands.ready(now) and self._bytes.ready(now):
            data = queue.popleft()
            self._commands.spend(1, now)
            self._bytes.spend(len(data), now)
            self._send(data)
        if queue:
            self._timer = self._loop.call_later(_POLL_S, self._pump)
