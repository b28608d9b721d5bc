"""The bounded queue between a source's worker thread and the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from roomtone.sources.cancel import CancelToken
from roomtone.sources.errors import Cancelled, SourceError

T = TypeVar("T")


class FrameQueue(Generic[T]):
    """The worker waits in `put` while it is full; the loop never waits, and asks to be called back.

    limit: items, 2 or more. A full queue takes items again once it is down to three quarters, so that the
    worker wakes for several frames at a time.
    """

    def __init__(self, limit: int, token: CancelToken) -> None:
        self.error: SourceError | None = None
        self._limit: Final = limit
        self._low: Final = max(1, limit * 3 // 4)
        self._token = token
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._blocked = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._callback: Callable[[], object] | None = None

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Before the first `put`."""
        self._loop = loop

    def __len__(self) -> int:
        return len(self._items)

    @property
    def drained(self) -> bool:
        """Ended, and everything taken."""
        return self._ended and not self._items

    def put(self, item: T) -> None:
        """Worker: append, or wait. Raises Cancelled."""
        with self._changed:
            if len(self._items) >= self._limit:
                self._blocked = True
                while self._blocked and not self._token.cancelled:
                    self._changed.wait()
            self._token.check()
            self._items.append(item)
            callback, self._callback = self._callback, None
        self._call(callback)

    def end(self, error: SourceError | None) -> None:
        """Worker: nothing comes after this."""
        with self._changed:
            self.error = error
            self._ended = True
            callback, self._callback = self._callback, None
        self._call(callback)

    def take(self, most: int) -> list[T]:
        """Loop: up to `most` items, oldest first."""
        with self._changed:
            items = self._items
            taken = [items.popleft() for _ in range(min(most, len(items)))]
            self._unblock()
        return taken

    def when_ready(self, callback: Callable[[], object]) -> None:
        """Loop: call it once there is something to take, or the end. A later one replaces it."""
        with self._changed:
            if not self._items and not self._ended:
                self._callback = callback
                return
        self._call(callback)

    def clear(self) -> None:
        """Loop: forget everything and let a waiting worker see that it was cancelled."""
        with self._changed:
            self._items.clear()
            self._callback = None
            self._blocked = False
            self._changed.notify_all()

    def _unblock(self) -> None:
        if self._blocked and len(self._items) <= self._low:
            self._blocked = False
            self._changed.notify_all()

    def _call(self, callback: Callable[[], object] | None) -> None:
        if callback is None:
            return
        if self._loop is None:
            raise RuntimeError("the source was not started")
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError as error:  # the loop was closed over us
            raise Cancelled from error
