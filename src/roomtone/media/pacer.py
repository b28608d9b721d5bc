"""Releases audio that is made faster than it is spoken, at the speed at which it is spoken.

The schedule hangs on one instant and a count of ticks, never on the last wake-up, so that late timers do not
add up: after an hour the pacer is as far along as the clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Generic, TypeVar

from roomtone.media.packet import CLOCK_RATE_HZ

T = TypeVar("T")

DEFAULT_LEAD_MS: Final = 60
DEFAULT_MAX_MS: Final = 30_000
DEFAULT_RESTART_MS: Final = 100
DEFAULT_MAX_STALL_MS: Final = 1_000


@dataclass(slots=True)
class PacerStats:
    """Counts since the start. Ticks are 48 kHz ticks."""

    released: int = 0
    released_ticks: int = 0
    refused: int = 0
    flushed: int = 0
    talkspurts: int = 0
    underruns: int = 0
    stalls: int = 0


class _Start(Enum):
    """What the next item is to the schedule."""

    CONTINUE = auto()
    AFTER_END = auto()
    AFTER_FLUSH = auto()


class Pacer(Generic[T]):
    """A bounded queue that gives its items out on time.

    lead_ms: how much is released ahead of the clock, at once at each talkspurt's start: what the listeners'
    buffers live on. 0 or more. max_ms: the most that waits; `push` refuses more, and the producer waits.

    A talkspurt starts with the first item, after `end` or `flush`, and when the source ran dry and is over
    `restart_ms` too late for the schedule: the pause was heard, so the schedule starts anew (an underrun). A
    source less late than that catches up at once, and so does a pacer that was itself woken too late, up to
    `max_stall_ms`, beyond which listeners would only throw the burst away (a stall).
    """

    def __init__(
        self,
        *,
        lead_ms: float = DEFAULT_LEAD_MS,
        max_ms: float = DEFAULT_MAX_MS,
        restart_ms: float = DEFAULT_RESTART_MS,
        max_stall_ms: float = DEFAULT_MAX_STALL_MS,
    ) -> None:
        if lead_ms < 0 or max_ms <= 0 or restart_ms < 0 or max_stall_ms < 0:
            raise ValueError("lead_ms, restart_ms and max_stall_ms are 0 or more, max_ms over 0")
        self._lead_s = lead_ms / 1000
        self._restart_s = restart_ms / 1000
        self._max_stall_s = max_stall_ms / 1000
        self._max_ticks = round(max_ms * CLOCK_RATE_HZ / 1000)
        self._queue: deque[tuple[T, int]] = deque()
        self._pending_ticks = 0
        # When tick 0 of this talkspurt is spoken, and how many of its ticks were released.
        self._anchor: float | None = None
        self._position = 0
        self._start_rule = _Start.CONTINUE
        self._ending = False
        self._ran_dry = False
        self._gap_ticks = 0
        self.stats: Final = PacerStats()

    @property
    def pending_ms(self) -> float:
        """How much audio waits."""
        return self._pending_ticks * 1000 / CLOCK_RATE_HZ

    @property
    def gap_ticks(self) -> int:
        """The pause, in 48 kHz ticks, that was heard just before the first item of the last `pop_due`.

        0 within a talkspurt and before the first. A sender adds it to its timestamp.
        """
        return self._gap_ticks

    def push(self, item: T, duration_ticks: int) -> bool:
        """Take an item of that many 48 kHz ticks. False, and not taken, when it would exceed `max_ms`.

        An item longer than `max_ms` is taken when nothing else waits. Raises ValueError for no ticks.
        """
        if duration_ticks <= 0:
            raise ValueError(f"an item lasts over 0 ticks, not {duration_ticks}")
        if self._queue and self._pending_ticks + duration_ticks > self._max_ticks:
            self.stats.refused += 1
            return False
        # Pushed while the end still waits, this goes on where that stops.
        self._ending = False
        self._queue.append((item, duration_ticks))
        self._pending_ticks += duration_ticks
        return True

    def pop_due(self, now: float) -> list[T]:
        """The items whose time has come, oldest first. now: monotonic seconds."""
        self._gap_ticks = 0
        if not self._queue:
            return []
        anchor = self._schedule(now)
        due: list[T] = []
        while self._queue and anchor + self._position / CLOCK_RATE_HZ - self._lead_s <= now:
            item, ticks = self._queue.popleft()
            self._pending_ticks -= ticks
            self._position += ticks
            self.stats.released_ticks += ticks
            due.append(item)
        self.stats.released += len(due)
        self._ran_dry = not self._queue
        if self._ending and self._ran_dry:
            self._ending = False
            self._start_rule = _Start.AFTER_END
        return due

    def next_deadline(self) -> float | None:
        """When to call `pop_due` next: monotonic seconds, 0.0 for at once, None while nothing waits."""
        if not self._queue:
            return None
        if self._anchor is None or self._start_rule is not _Start.CONTINUE:
            return 0.0
        return self._anchor + self._position / CLOCK_RATE_HZ - self._lead_s

    def end(self) -> None:
        """The source is done for now: the pause after what it pushed is a pause, no underrun."""
        if self._queue:
            self._ending = True
        elif self._start_rule is _Start.CONTINUE:
            self._start_rule = _Start.AFTER_END

    def flush(self) -> list[T]:
        """Take back what was not yet released, oldest first; the next item starts a talkspurt at once."""
        items = [item for item, _ in self._queue]
        self._queue.clear()
        self._pending_ticks = 0
        self._ending = False
        self._start_rule = _Start.AFTER_FLUSH
        self.stats.flushed += len(items)
        return items

    def _schedule(self, now: float) -> float:
        """The anchor to go by, a new one where a talkspurt starts."""
        anchor = self._anchor
        if anchor is None:
            return self._start(now, 0.0)
        late = now - anchor - self._position / CLOCK_RATE_HZ
        rule = self._start_rule
        self._start_rule = _Start.CONTINUE
        if rule is _Start.AFTER_FLUSH or (rule is _Start.AFTER_END and late > 0):
            return self._start(now, late)
        if self._ran_dry and late > self._restart_s:
            self.stats.underruns += 1
            return self._start(now, late)
        if late > self._max_stall_s:
            self.stats.stalls += 1
            return self._start(now, late)
        return anchor

    def _start(self, now: float, late: float) -> float:
        # After a flush some of what was released may not have been spoken yet: that is no pause.
        self._gap_ticks = max(0, round(late * CLOCK_RATE_HZ))
        self._start_rule = _Start.CONTINUE
        self._anchor = now
        self._position = 0
        self.stats.talkspurts += 1
        return now
