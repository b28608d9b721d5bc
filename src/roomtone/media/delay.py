"""How deep a jitter buffer should be, and when to speed up or slow down: arrivals in, target, operation out.

Plain arithmetic on doubles in a fixed order, so that the browser's twin gives the same numbers
(schema/vectors/delay_controller.json pins both). All is told in milliseconds *behind the fastest path*: a
packet's relative delay is its transit time less the smallest transit of the last seconds, and the buffer's
latency is the same figure for the sample it must decode next. A packet is in time if its relative delay is at
most the latency, so the target is a quantile of the relative delays. Because the smallest transit slides, a
sender's clock that drifts moves the latency, and the buffer follows.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

TICKS_PER_MS: Final = 48.0
_MERGE_PEAKS_MS: Final = 400.0
_LOSS_INTERVAL: Final = 50  # packets between two looks at the share lost, as a receiver report does
_LOSS_SMOOTHING: Final = 0.1
_RENORMALISE_AT: Final = 1e9
_BRIDGED_SHARE: Final = 0.65  # of the target: what a stall leaves to be slowed down
_FORGOTTEN: Final = 1e-6  # a share of the weight that cannot matter: the search need not pass it again


class Operation(Enum):
    """What to do with the sound that is decoded next."""

    NORMAL = "normal"
    ACCELERATE = "accelerate"
    FAST_ACCELERATE = "fast_accelerate"
    EXPAND = "expand"
    FAST_EXPAND = "fast_expand"


@dataclass(frozen=True, slots=True)
class JitterSettings:
    """How a jitter buffer behaves; start from WEBSOCKET, LOSSY or `fixed(depth_ms)`.

    adaptive: whether the target moves; otherwise it stays at initial_target_ms. skip_late: what came after
    its concealment was played is thrown away (True) or played still, later (False: where nothing is lost,
    late speech is better than none). fec: lost packets are looked for in the next one, which is worth
    waiting for where over fec_worth (0..1) of all can be found there, for fec_quantile of those.
    quantile: 0..1, the share of packets that shall be in time; forgetting: 0..1 a packet; initial_weight: how
    many packets the initial target counts for. A delay of peak_threshold_ms over the quantile is a stall and
    no jitter. It may come again, so the buffer stays ready for its like for peak_hold_ms; two within
    peak_active_ms make it ready for the next, up to peak_share of the largest to expect, and stalls are
    remembered for peak_memory_ms. stall_after_ms: no packet for so much longer than
    the jitter explains is a stall that lasts.
    Time is stretched from accelerate_over_ms over the target, or from expand_under_ms (less, where the target
    is low) under it, until the latency is at most settle_over_ms over it, or not under it; a splice every
    stretch_interval_ms, but without pause when over by fast_over_ms. max_buffer_ms: beyond it the oldest is
    dropped.
    """

    adaptive: bool = True
    skip_late: bool = False
    fec: bool = False
    quantile: float = 0.98
    forgetting: float = 0.998
    initial_target_ms: float = 40.0
    initial_weight: float = 1.0
    min_target_ms: float = 10.0
    max_target_ms: float = 1_000.0
    bin_ms: float = 2.5
    base_window_ms: float = 4_000.0
    peak_threshold_ms: float = 60.0
    peak_hold_ms: float = 2_000.0
    peak_active_ms: float = 10_000.0
    peak_memory_ms: float = 30_000.0
    peak_share: float = 0.95
    fec_worth: float = 0.01
    fec_quantile: float = 0.95
    accelerate_over_ms: float = 15.0
    expand_under_ms: float = 10.0
    settle_over_ms: float = 5.0
    fast_over_ms: float = 80.0
    stall_after_ms: float = 60.0
    stretch_interval_ms: float = 40.0
    max_buffer_ms: float = 2_000.0


WEBSOCKET: Final = JitterSettings(min_target_ms=15.0)
"""Nothing is lost or reordered: a gap is a drop by the server. What TCP does is stall, then burst.

Its least depth is what a busy machine's event loops, one after the other, are late by now and then: too seldom
for the quantile, too little for a stall.
"""
LOSSY: Final = JitterSettings(skip_late=True, fec=True, quantile=0.985)
"""Datagrams: they overtake one another and vanish, but carry copies of their predecessors."""


def fixed(depth_ms: float) -> JitterSettings:
    """A buffer of one depth, in ms: it stretches time only to return there, and drops what is late."""
    return JitterSettings(adaptive=False, skip_late=True, initial_target_ms=depth_ms, min_target_ms=0.0)


class DelayController:
    """Chooses the target from arrivals, and an operation from the latency.

    Timestamps and sequence numbers are unwrapped; `now` is monotonic seconds.
    """

    def __init__(self, settings: JitterSettings) -> None:
        self._settings = settings
        size = int(settings.max_target_ms / settings.bin_ms) + 1
        self._counts = [0.0] * size
        self._weight = 1.0
        first = min(size - 1, max(0, int(settings.initial_target_ms / settings.bin_ms) - 1))
        self._counts[first] = self._total = settings.initial_weight
        self._highest = first
        self._quantile_ms = self._target_ms = settings.initial_target_ms
        self._fastest: deque[tuple[float, float]] = deque()
        self._peaks: deque[tuple[float, float]] = deque()
        self._draining = False
        self._last_relative_ms = 0.0
        self._last_arrival_ms = 0.0
        self._last_transit_ms: float | None = None
        self._jitter_ms = 0.0
        self._fec_share = 0.0
        self._loss = 0.0
        self._loss_intervals = 0
        self._interval_start: int | None = None
        self._interval_received = 0
        self._newest = 0
        self._reserve = False
        self._steering = Operation.NORMAL
        self._stretched_at_ms = float("-inf")

    @property
    def target_ms(self) -> float:
        """The wanted latency behind the fastest path."""
        return self._target_ms

    @property
    def jitter_ms(self) -> float:
        """Interarrival jitter (RFC 3550, 6.4.1)."""
        return self._jitter_ms

    @property
    def loss(self) -> float:
        """The share of packets that never came, 0..1, smoothed over some hundreds."""
        return max(0.0, self._loss)

    def latency_ms(self, timestamp: int, now: float) -> float:
        """How far behind the fastest path the sample `timestamp` would be if it were decoded now."""
        return now * 1000.0 - timestamp / TICKS_PER_MS - self._base_ms()

    def transit_jump_ms(self, timestamp: int, now: float) -> float:
        """How much longer (or, negative, shorter) a packet was on its way than the one before it."""
        if self._last_transit_ms is None:
            return 0.0
        return now * 1000.0 - timestamp / TICKS_PER_MS - self._last_transit_ms

    def rebase(self) -> None:
        """The sender's timeline was broken: forget what was the fastest, keep what is known of the jitter."""
        self._fastest.clear()
        self._last_transit_ms = None
        self._interval_start = None
        self._draining = False
        self._steering = Operation.NORMAL

    def arrived(self, sequence: int, timestamp: int, now: float, *, frame_ms: float, fec: bool) -> float:
        """Learn from one arrival, in time or late, but no duplicate; returns its relative delay in ms.

        frame_ms: its length. fec: whether it holds a copy of its predecessor.
        """
        now_ms = self._last_arrival_ms = now * 1000.0
        transit = now_ms - timestamp / TICKS_PER_MS
        if self._last_transit_ms is not None:
            self._jitter_ms += (abs(transit - self._last_transit_ms) - self._jitter_ms) / 16.0
        self._last_transit_ms = transit
        relative = self._relative_ms(now_ms, transit)
        self._fec_share += ((1.0 if fec else 0.0) - self._fec_share) * 0.02
        self._count_loss(sequence)
        if self._settings.adaptive:
            if not self._in_burst(now_ms, relative):
                self._count_delay(relative)
            self._quantile_ms = self._find_quantile(self._settings.quantile)
            self._target_ms = self._choose(now_ms, frame_ms)
        self._last_relative_ms = relative
        return relative

    def decide(self, over_ms: float, buffered_ms: float, silent: bool, now: float) -> Operation:
        """What to do with the sound that was decoded now, so far over the target and with so much left.

        Once begun, speeding up goes on until the latency is at the target, and slowing down likewise; in
        silence, where it costs nothing, it begins earlier. In the middle of a stall the last part of what
        is left is slowed down, to reach further.
        """
        settings = self._settings
        if over_ms > (settings.settle_over_ms if silent else settings.accelerate_over_ms):
            self._steering = Operation.ACCELERATE
        elif over_ms < -min(settings.expand_under_ms, (self._target_ms - settings.min_target_ms) / 4.0):
            self._steering = Operation.EXPAND
        elif self._steering is Operation.ACCELERATE:
            if over_ms <= settings.settle_over_ms:
                self._steering = Operation.NORMAL
        elif over_ms >= 0.0:
            self._steering = Operation.NORMAL
        now_ms = now * 1000.0
        stalled = now_ms - self._last_arrival_ms > self._quantile_ms + settings.stall_after_ms
        if settings.adaptive and stalled and buffered_ms < self._target_ms * _BRIDGED_SHARE:
            return Operation.FAST_EXPAND
        if self._steering is Operation.ACCELERATE and over_ms > settings.fast_over_ms:
            return Operation.FAST_ACCELERATE
        if now_ms - self._stretched_at_ms < settings.stretch_interval_ms:
            return Operation.NORMAL
        return self._steering

    def stretched(self, now: float) -> None:
        """The operation was carried out: leave some sound as it is before the next."""
        self._stretched_at_ms = now * 1000.0

    def _base_ms(self) -> float:
        return self._fastest[0][1] if self._fastest else 0.0

    def _relative_ms(self, now_ms: float, transit: float) -> float:
        """Slide the minimum: a queue of ever larger transits, the front is the smallest in the window."""
        fastest = self._fastest
        while fastest and fastest[-1][1] >= transit:
            fastest.pop()
        fastest.append((now_ms, transit))
        while now_ms - fastest[0][0] > self._settings.base_window_ms:
            fastest.popleft()
        return transit - fastest[0][1]

    def _count_loss(self, sequence: int) -> None:
        """Expected less received over intervals (RFC 3550, A.3); reordering cancels out in the next one."""
        if self._interval_start is None:
            self._interval_start = self._newest = sequence
            self._interval_received = 1
            return
        self._interval_received += 1
        if sequence <= self._newest:
            return
        self._newest = sequence
        expected = sequence - self._interval_start + 1
        if expected < _LOSS_INTERVAL:
            return
        self._loss_intervals += 1
        share = max(-1.0, 1.0 - self._interval_received / expected)
        self._loss += (share - self._loss) * max(_LOSS_SMOOTHING, 1.0 / self._loss_intervals)
        self._interval_start = sequence + 1
        self._interval_received = 0

    def _in_burst(self, now_ms: float, relative: float) -> bool:
        """Whether this packet only waited behind a stall that is counted already; notes new stalls."""
        if self._draining and relative <= self._last_relative_ms and relative > self._quantile_ms:
            return True
        self._draining = relative > self._quantile_ms + self._settings.peak_threshold_ms
        if self._draining:
            peaks = self._peaks
            if peaks and now_ms - peaks[-1][0] < _MERGE_PEAKS_MS:
                peaks[-1] = (now_ms, max(relative, peaks[-1][1]))
            else:
                peaks.append((now_ms, relative))
        return False

    def _count_delay(self, relative: float) -> None:
        """Newer packets weigh more, instead of older ones less: one addition a packet."""
        counts = self._counts
        index = min(len(counts) - 1, int(relative / self._settings.bin_ms))
        self._weight /= self._settings.forgetting
        counts[index] += self._weight
        self._total += self._weight
        self._highest = max(self._highest, index)
        if self._weight > _RENORMALISE_AT:
            for at in range(self._highest + 1):
                counts[at] /= self._weight
            self._total /= self._weight
            self._weight = 1.0

    def _find_quantile(self, share: float) -> float:
        """The upper edge of the bin that holds the quantile, seen from the top."""
        counts = self._counts
        while self._highest > 0 and counts[self._highest] < self._total * _FORGOTTEN:
            counts[self._highest] = 0.0
            self._highest -= 1
        spare = (1.0 - share) * self._total
        index = self._highest
        above = counts[index]
        while above <= spare and index > 0:
            index -= 1
            above += counts[index]
        return (index + 1) * self._settings.bin_ms

    def _choose(self, now_ms: float, frame_ms: float) -> float:
        settings = self._settings
        target = self._quantile_ms
        if settings.fec:
            # A lost packet's copy comes one frame later; it is worth that wait where enough is lost.
            worth = self._loss * self._fec_share
            self._reserve = worth > (settings.fec_worth / 2.0 if self._reserve else settings.fec_worth)
            if self._reserve:
                target = max(target, self._find_quantile(settings.fec_quantile) + frame_ms)
        peak = self._expected_peak_ms(now_ms)
        return min(settings.max_target_ms, max(settings.min_target_ms, target, peak))

    def _expected_peak_ms(self, now_ms: float) -> float:
        """The largest stall to expect: the largest of the n seen, plus an n-th, as for the end of a uniform range.

        Slightly less, for the last part of the buffer is stretched when it comes to that.
        """
        settings = self._settings
        peaks = self._peaks
        while peaks and now_ms - peaks[0][0] > settings.peak_memory_ms:
            peaks.popleft()
        count = len(peaks)
        if count < 2 or now_ms - peaks[-2][0] > settings.peak_active_ms:
            if peaks and now_ms - peaks[-1][0] <= settings.peak_hold_ms:
                return peaks[-1][1] * settings.peak_share
            return 0.0
        largest = 0.0
        for _, height in peaks:
            largest = max(largest, height)
        return largest * (1.0 + 1.0 / count) * settings.peak_share
