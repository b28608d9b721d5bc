"""A bad network between a client and a real server: delays, stalls, cuts and refusals, seeded."""

from __future__ import annotations

import asyncio
import random
from types import TracebackType
from typing import Self

READ_BYTES = 4_096


class Relay:
    """`async with Relay(port, seed) as relay`: connect to relay.url instead of the server's.

    jitter_s: each piece waits up to so long. stalled: nothing passes. refusing: who connects is cut at once.
    """

    def __init__(self, port: int, seed: int) -> None:
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.random = random.Random(seed)
        self.jitter_s = 0.0
        self.stalled = False
        self.refusing = False
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        await self._server.wait_closed()

    def cut(self) -> None:
        """Every connection is gone, without a word."""
        for writer in tuple(self._writers):
            writer.transport.abort()
        for task in tuple(self._tasks):
            task.cancel()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            writer.transport.abort()
            return
        back, forth = await asyncio.open_connection("127.0.0.1", self._port)
        for source, target in ((reader, forth), (back, writer)):
            self._writers.add(target)
            task = asyncio.create_task(self._pump(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(READ_BYTES):
                while self.stalled:  # noqa: ASYNC110  a stall has no other end
                    await asyncio.sleep(0.01)
                if self.jitter_s:
                    await asyncio.sleep(self.random.random() * self.jitter_s)
                target.write(data)
                await target.drain()
        except ConnectionError:
            pass
        finally:
            self._writers.discard(target)
            target.close()
