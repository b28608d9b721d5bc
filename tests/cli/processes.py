"""Commands as processes of their own, as a shell starts them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

DEADLINE_S = 40.0


def environment(**extra: str) -> dict[str, str]:
    """Ours without any setting of Roomtone's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROOMTONE_")}
    return kept | extra


def started(arguments: Sequence[str], *, cwd: Any = None, **extra: str) -> subprocess.Popen[str]:
    """`roomtone ARGUMENTS`, with pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "roomtone", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=environment(**extra),
    )


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """(exit code, standard output, standard error), within DEADLINE_S."""
    try:
        out, err = process.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return process.returncode, out, err


def ran(*arguments: str, cwd: Any = None, **extra: str) -> tuple[int, str, str]:
    """Start and finish."""
    return finished(started(arguments, cwd=cwd, **extra))


def log_event(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    """Read JSON log lines until one tells `event`."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("{"):
            entry = dict(json.loads(line))
            if entry.get("event") == event:
                return entry
    raise AssertionError(f"the process ended without the event {event!r}: {''.join(seen)}")


@contextlib.contextmanager
def serving(*arguments: str, **extra: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """(url, process) of a development server on a free port; stopped at the end if it still runs."""
    flags = ["serve", "--dev", "--port", "0", "--log-format", "json", "--drain-timeout-s", "0.2", *arguments]
    process = started(flags, **extra)
    try:
        yield log_event(process, "listening")["url"], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        finished(process)
