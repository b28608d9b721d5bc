"""A bounded queue between the connection and one reader."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class DropOldest(Generic[Item]):
    """Holds at most `bound` items; a newer one pushes the oldest out. One reader at a time.

    dropped: how many items were pushed out unread.
    """

    def __init__(self, bound: int) -> None:
        self._items: deque[Item] = deque()
        self._bound = bound
        self._closed = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.dropped = 0

    def put(self, item: Item) -> None:
        """Add one item; nothing happens after close()."""
        if self._closed:
            return
        if len(self._items) >= self._bound:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        self._wake()

    def close(self, error: Exception | None = None) -> None:
        """No more will come. The reader gets what is left, then `error`, or the end.

        Only the first call counts.
        """
        if not self._closed:
            self._closed = True
            self._error = error
            self._wake()

    @property
    def closed(self) -> bool:
        """Whether close() was called; items may be left."""
        return self._closed

    def __len__(self) -> int:
        return len(self._items)

    async def get(self) -> Item:
        """The oldest item. Raises StopAsyncIteration, or the error given to close(), at the end."""
        while not self._items:
            if self._closed:
                if self._error is not None:
                    raise self._error
                raise StopAsyncIteration
            if self._waiter is not None:
                raise RuntimeError("this iterator is already being read by another task")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._items.popleft()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
