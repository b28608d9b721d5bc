"""Ends a worker thread's blocking calls from outside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from roomtone.sources.errors import Cancelled


class CancelToken:
    """Cancelled once, for good. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._next_key = 0

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def cancel(self) -> None:
        """Run what `calling` registered, in this thread. Idempotent."""
        with self._lock:
            self._event.set()
            callbacks = list(self._callbacks.values())
            self._callbacks.clear()
            # Under the lock: whoever unregisters must not go on to close a socket that is being shut down
            # here.
            for callback in callbacks:
                callback()

    def check(self) -> None:
        """Raise Cancelled if so."""
        if self._event.is_set():
            raise Cancelled

    def sleep(self, seconds: float) -> None:
        """Wait, or raise Cancelled as soon as that happens."""
        if self._event.wait(seconds):
            raise Cancelled

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """While the block runs, cancelling calls `callback`, which must not block nor use this token."""
        key = self.register(callback)
        try:
            yield
        finally:
            self.unregister(key)

    def register(self, callback: Callable[[], None]) -> int:
        """As `calling`, until `unregister` is called with the result. Raises Cancelled if it is too late."""
        with self._lock:
            self.check()
            self._next_key += 1
            self._callbacks[self._next_key] = callback
            return self._next_key

    def unregister(self, key: int) -> None:
        """Idempotent. Once it returns, the callback is not running."""
        with self._lock:
            self._callbacks.pop(key, None)
