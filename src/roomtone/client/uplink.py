"""Keeps what is sent fresh: audio that cannot leave is dropped, oldest first, never piled up.

Two signs tell that a connection takes no more audio: bytes that stay in this process, and frames that the
server does not acknowledge, for the kernel and the network hide seconds of audio (docs/protocol.md).
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Final, NamedTuple

from roomtone.media.packet import CLOCK_RATE_HZ, Packet
from roomtone.media.sequence import sequence_difference

FRESH_S: Final = 0.2
"""The most audio that waits here, and how long a byte may lie in this process, before frames are dropped."""
_MAX_NOTES: Final = 4_096


class _Waiting(NamedTuple):
    packet: Packet
    ticks: int


class Uplink:
    """All outgoing audio of one connection. Times are monotonic seconds.

    report_interval_s: how often the server acknowledges. dropped_frames counts over the object's life, all tracks.
    """

    def __init__(self, report_interval_s: float = 0.5) -> None:
        self._allowance_s = report_interval_s + FRESH_S
        self._queue: deque[_Waiting] = deque()
        self._queued_ticks = 0
        self._handed_bytes = 0
        self._bytes: deque[tuple[int, float]] = deque(maxlen=_MAX_NOTES)
        self._unacknowledged: dict[int, deque[tuple[int, float]]] = {}
        self._reported: set[int] = set()
        self._cut: set[int] = set()
        self._probed_at = 0.0
        self._dropped_of: Counter[int] = Counter()
        self.dropped_frames = 0

    def handed(self, size: int, now: float) -> None:
        """A message of `size` bytes was given to the transport."""
        self._handed_bytes += size
        self._bytes.append((self._handed_bytes, now))

    def acknowledge(self, sequences: dict[int, int]) -> None:
        """The server's newest sequence number of each track."""
        for track, newest in sequences.items():
            self._reported.add(track)
            notes = self._unacknowledged.get(track)
            while notes and sequence_difference(notes[0][0], newest) <= 0:
                notes.popleft()

    def forget(self, track: int) -> None:
        """The track was closed or muted: what it sent last may never be acknowledged."""
        self._unacknowledged.pop(track, None)
        self._reported.discard(track)

    def lag_s(self, now: float, buffered_bytes: int, rtt_s: float) -> float:
        """How much too long the oldest unsent or unacknowledged audio has waited; 0 when all is well."""
        left = self._handed_bytes - buffered_bytes
        notes = self._bytes
        while notes and notes[0][0] <= left:
            notes.popleft()
        lag = now - notes[0][1] - FRESH_S if notes else 0.0
        for track in self._reported:
            waiting = self._unacknowledged.get(track)
            if waiting:
                lag = max(lag, now - waiting[0][1] - self._allowance_s - rtt_s)
        return max(0.0, lag)

    def push(self, packet: Packet, ticks: int) -> None:
        """One more frame to send; the oldest go where over 200 ms wait."""
        queue = self._queue
        queue.append(_Waiting(packet, ticks))
        self._queued_ticks += ticks
        while self._queued_ticks > FRESH_S * CLOCK_RATE_HZ and len(queue) > 1:
            oldest = queue.popleft()
            self._queued_ticks -= oldest.ticks
            self._dropped(oldest.packet.track)

    def take(self, now: float, buffered_bytes: int, rtt_s: float) -> list[Packet]:
        """The frames that may go to the transport now, oldest first; `handed` is to be told of each."""
        if not self._queue:
            return []
        if self.lag_s(now, buffered_bytes, rtt_s) > 0:
            # Where nothing waits in this process only acknowledgements are missing: one frame asks for one.
            if buffered_bytes or now - self._probed_at < FRESH_S:
                return []
            self._probed_at = now
            return [self._pop(now)]
        return [self._pop(now) for _ in range(len(self._queue))]

    def flush(self, track: int) -> int:
        """Forget what waits of `track`; how many frames that were."""
        kept = deque(entry for entry in self._queue if entry.packet.track != track)
        gone = len(self._queue) - len(kept)
        self._queue = kept
        self._queued_ticks = sum(entry.ticks for entry in kept)
        return gone

    def restart(self, report_interval_s: float) -> None:
        """A new connection: nothing is on the way, and what waited is stale."""
        for entry in self._queue:
            self._dropped(entry.packet.track)
        self._queue.clear()
        self._queued_ticks = 0
        self._handed_bytes = 0
        self._bytes.clear()
        self._unacknowledged.clear()
        self._reported.clear()
        self._allowance_s = report_interval_s + FRESH_S

    def take_dropped(self, track: int) -> int:
        """How many frames of `track` were dropped since the last call."""
        return self._dropped_of.pop(track, 0)

    @property
    def waiting(self) -> bool:
        """Whether frames wait for the connection to take them."""
        return bool(self._queue)

    def _dropped(self, track: int) -> None:
        self.dropped_frames += 1
        self._dropped_of[track] += 1
        self._cut.add(track)

    def _pop(self, now: float) -> Packet:
        packet, ticks = self._queue.popleft()
        self._queued_ticks -= ticks
        track = packet.track
        notes = self._unacknowledged.get(track)
        if notes is None:
            notes = self._unacknowledged[track] = deque(maxlen=_MAX_NOTES)
        notes.append((packet.sequence, now))
        if track in self._cut:
            self._cut.discard(track)
            return packet.discontinuous
        return packet
