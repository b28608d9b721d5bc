"""How a command runs: its loop, its end by time or by signal, and what errors mean to a shell."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from roomtone.cli.exits import CliError, ExitCode
from roomtone.client.errors import ApiError, CommandRefused, ConnectError, RoomtoneError, ServerUnreachable
from roomtone.server.run import Signals, run
from roomtone.sources.errors import SourceError  # of a source that a command reads by itself


def run_command(main: Coroutine[Any, Any, int]) -> int:
    """Run `main`; every error that has a cause outside of this program comes out as a CliError."""
    with explained():
        return run(main)


@contextmanager
def explained() -> Iterator[None]:
    """Errors of the client, the API and sources as CliErrors."""
    try:
        yield
    except ServerUnreachable as error:
        raise CliError(
            f"{error}; start a server with `roomtone serve --dev`, or correct --url",
            ExitCode.UNREACHABLE,
        ) from error
    except ConnectError as error:
        raise CliError(str(error), ExitCode.REFUSED) from error
    except CommandRefused as error:
        raise CliError(f"the server refused: {error}", ExitCode.REFUSED) from error
    except ApiError as error:
        raise CliError(_api_error(error), _api_code(error)) from error
    except (SourceError, RoomtoneError) as error:
        raise CliError(str(error), ExitCode.FAILED) from error


def _api_code(error: ApiError) -> ExitCode:
    if error.status == 0:
        return ExitCode.UNREACHABLE
    return ExitCode.REFUSED if error.status in (401, 403) else ExitCode.FAILED


def _api_error(error: ApiError) -> str:
    if error.status == 0:
        return f"{error}; start a server with `roomtone serve --dev`, or correct --url"
    return error.detail or str(error)


async def until_stopped(work: Coroutine[Any, Any, None], duration_s: float | None) -> None:
    """Do `work` until it is done, `duration_s` are over, or a SIGINT or SIGTERM came. Raises what it raises.

    The work is cancelled at the end, and has a moment to clean up.
    """
    with Signals() as signals:
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(signals.first.wait())
        try:
            await asyncio.wait({task, stop}, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()
