"""A seeded network: when does each packet that is sent arrive, if it does?

Every model is a pure function of its seed and of what was sent before, so a run can be repeated exactly.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


class Network(Protocol):
    """One direction of a path."""

    def send(self, now: float) -> float | None:
        """When what is sent at `now` (s, never less than before) arrives; None if it is lost."""
        ...


class DatagramNetwork:
    """Packets are lost and delayed one by one, so they overtake one another.

    jitter_ms: each is delayed by a uniform 0..jitter_ms. loss: 0..1, independent.
    """

    def __init__(self, seed: int, *, jitter_ms: float = 0.0, loss: float = 0.0, delay_ms: float = 0.0) -> None:
        self._random = random.Random(seed)
        self._jitter_s = jitter_ms / 1000.0
        self._delay_s = delay_ms / 1000.0
        self._loss = loss

    def send(self, now: float) -> float | None:
        lost = self._random.random() < self._loss
        jitter = self._random.random() * self._jitter_s  # drawn even if lost: one seed, one trace of delays
        return None if lost else now + self._delay_s + jitter


class GilbertElliottNetwork:
    """Loss comes in bursts: a good state without loss and a bad state, changed by chance at every packet.

    to_bad, to_good: 0..1, the chances of changing. bad_loss: 0..1, the loss while bad.
    """

    def __init__(
        self, seed: int, *, to_bad: float, to_good: float, bad_loss: float = 1.0, jitter_ms: float = 0.0
    ) -> None:
        self._random = random.Random(seed)
        self._to_bad = to_bad
        self._to_good = to_good
        self._bad_loss = bad_loss
        self._jitter_s = jitter_ms / 1000.0
        self._bad = False

    def send(self, now: float) -> float | None:
        change, loss, jitter = (self._random.random() for _ in range(3))
        if change < (self._to_good if self._bad else self._to_bad):
            self._bad = not self._bad
        if self._bad and loss < self._bad_loss:
            return None
        return now + jitter * self._jitter_s


class StreamNetwork:
    """TCP: nothing is lost and nothing overtakes, but now and then all stands still, and then comes at once.

    stalls: (start, end) in s, in order. jitter_ms: as for datagrams, but what is behind waits for the rest.
    """

    def __init__(self, seed: int, stalls: Iterable[tuple[float, float]] = (), *, jitter_ms: float = 0.0) -> None:
        self._random = random.Random(seed)
        self._stalls: Sequence[tuple[float, float]] = tuple(stalls)
        self._jitter_s = jitter_ms / 1000.0
        self._last = float("-inf")

    def send(self, now: float) -> float | None:
        arrival = max(self._last, now + self._random.random() * self._jitter_s)
        for start, end in self._stalls:
            if start <= arrival < end:
                arrival = end
        self._last = arrival
        return arrival


def periodic_stalls(
    seed: int, *, first_s: float, every_s: float, until_s: float, shortest_ms: float, longest_ms: float
) -> tuple[tuple[float, float], ...]:
    """Stalls of uniform length that begin every every_s."""
    chance = random.Random(seed)
    stalls = []
    start = first_s
    while start < until_s:
        stalls.append((start, start + chance.uniform(shortest_ms, longest_ms) / 1000.0))
        start += every_s
    return tuple(stalls)


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """Packet number `index` of what was sent, and when it came, in s."""

    now: float
    index: int


def arrivals(network: Network, sent: Iterable[float]) -> Iterator[Arrival]:
    """What arrives of what was sent at these times, in the order of arrival."""
    came = []
    for index, now in enumerate(sent):
        at = network.send(now)
        if at is not None:
            came.append(Arrival(at, index))
    return iter(sorted(came))
