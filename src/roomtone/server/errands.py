"""What may wait for a turn of the event loop, so that a thousand connections that break at once do not hold it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

log = structlog.get_logger(__name__)

Errand = Callable[[], None]

BUDGET_S: Final = 0.002
"""For the errands of one turn. Telling a thousand that somebody is gone takes about 3 ms, so it is one a turn."""


class Errands:
    """The first of a turn is run at once; the others wait, and are run in order, for BUDGET_S a turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Errand] = deque()
        self._scheduled = False

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def __call__(self, errand: Errand) -> None:
        """Run it, now or soon. It must hold true then too: the world may have moved on."""
        if self._scheduled:
            self._waiting.append(errand)
            return
        self._scheduled = True
        self._loop.call_soon(self._turn)
        _run(errand)

    def _turn(self) -> None:
        if not self._waiting:
            self._scheduled = False
            return
        self._loop.call_soon(self._turn)
        end = time.perf_counter() + BUDGET_S
        while self._waiting:
            _run(self._waiting.popleft())
            if time.perf_counter() >= end:
                break


def _run(errand: Errand) -> None:
    try:
        errand()
    except Exception as error:
        # The root of a turn of the loop: the others' errands are not to suffer.
        log.exception("an errand failed", error=repr(error))
