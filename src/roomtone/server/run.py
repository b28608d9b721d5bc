"""A server as a process: signals in, exit code out."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from roomtone.logs import get_logger
from roomtone.server.app import Server
from roomtone.server.config import Config

log = get_logger(__name__)

EXIT_STOPPED = 0
EXIT_ABORTED = 1


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run a coroutine on the fastest event loop there is: uvloop's, but on Windows, which has none."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return int(uvloop.run(main))


def serve(config: Config, on_started: Callable[[Server], None] | None = None) -> int:
    """Serve until SIGTERM or SIGINT, then drain and stop; the exit code.

    A second signal stops the waiting for sessions: exit code 1. Raises ValueError for settings that make no
    sense, OSError where the port is taken; on_started is called once it listens.
    """
    return run(serve_until_signal(config, on_started))


async def serve_until_signal(config: Config, on_started: Callable[[Server], None] | None = None) -> int:
    """As serve(), on the running loop."""
    server = Server(config)
    signals = Signals()
    raise_open_files_limit()
    try:
        with signals:  # from before the start: a signal in the middle of it is a stop, too
            await server.start()
            if on_started is not None:
                on_started(server)
            await signals.first.wait()
            stopping = asyncio.create_task(server.stop())
            impatient = asyncio.create_task(signals.second.wait())
            await asyncio.wait({stopping, impatient}, return_when=asyncio.FIRST_COMPLETED)
            impatient.cancel()
            if not stopping.done():
                log.warning("aborted", connections=len(server.door.connections))
                for connection in tuple(server.door.connections):
                    connection.abort()
                await stopping
                return EXIT_ABORTED
            await stopping
    finally:
        await server.stop()
    return EXIT_STOPPED


def raise_open_files_limit() -> None:
    """As many open files as the system lets this process have: a joined connection needs two."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError) as error:  # macOS names a hard limit that it does not grant
            log.warning("open files stay limited", limit=soft, error=str(error))


class Signals:
    """SIGTERM and SIGINT as two events, for as long as the context lasts."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()

    def __enter__(self) -> Signals:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._caught)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    def _caught(self) -> None:
        (self.second if self.first.is_set() else self.first).set()
