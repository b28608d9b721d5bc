"""The packets that a jitter buffer holds: unwrapped, sorted, without duplicates, and never too many."""

from __future__ import annotations

from bisect import insort
from collections import deque
from typing import Final, NamedTuple

from roomtone.media.packet import FLAG_DISCONTINUITY, FLAG_TALKSPURT_START, Packet
from roomtone.media.sequence import sequence_difference, timestamp_difference

MAX_PACKETS: Final = 1_000
"""2.5 s of the shortest frames."""
MAX_SEQUENCE_JUMP: Final = 3_000
"""A minute of 20 ms frames; what is further away belongs to another stream or to none."""
MAX_TIMESTAMP_JUMP_TICKS: Final = 3_600 * 48_000
_REMEMBERED: Final = 512


class Entry(NamedTuple):
    """A packet in its place. sequence, timestamp: unwrapped. ticks: its length. arrival: s, monotonic."""

    sequence: int
    timestamp: int
    ticks: int
    fec: bool
    flags: int
    arrival: float
    payload: bytes


class PacketQueue:
    """Packets in the order of their sequence numbers."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._newest: tuple[int, int] | None = None
        self._suspect: int | None = None
        self._seen: set[int] = set()
        self._seen_order: deque[int] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def first(self) -> Entry | None:
        """The oldest packet."""
        return self._entries[0] if self._entries else None

    @property
    def last(self) -> Entry | None:
        """The newest packet."""
        return self._entries[-1] if self._entries else None

    def place(self, packet: Packet) -> tuple[int, int] | None:
        """The packet's unwrapped sequence number and timestamp; None if it does not belong to this stream.

        Two packets in a row that do not belong are a new stream (RFC 3550, A.1); one that says that it starts
        anew is enough. The caller then clears the queue and asks again.
        """
        if self._newest is None:
            return packet.sequence, packet.timestamp
        sequence, timestamp = self._newest
        step = sequence_difference(packet.sequence, sequence & 0xFFFF)
        ticks = timestamp_difference(packet.timestamp, timestamp & 0xFFFF_FFFF)
        if abs(step) > MAX_SEQUENCE_JUMP or abs(ticks) > MAX_TIMESTAMP_JUMP_TICKS:
            return None
        return sequence + step, timestamp + ticks

    def suspects(self, packet: Packet) -> bool:
        """Whether a packet that does not belong is to be dropped, for it may be a stray one."""
        starts = packet.flags & (FLAG_TALKSPURT_START | FLAG_DISCONTINUITY)
        if starts or self._suspect == packet.sequence:
            return False
        self._suspect = (packet.sequence + 1) & 0xFFFF
        return True

    def unwrap(self, sequence: int) -> int:
        """A 16-bit sequence number as an integer near the newest."""
        if self._newest is None:
            return sequence
        return self._newest[0] + sequence_difference(sequence, self._newest[0] & 0xFFFF)

    def has_seen(self, sequence: int) -> bool:
        """Whether this unwrapped number was added lately."""
        return sequence in self._seen

    def note(self, sequence: int, timestamp: int) -> None:
        """Remember an arrival, whether it is added or not."""
        self._suspect = None
        if self._newest is None or sequence > self._newest[0]:
            self._newest = sequence, timestamp
        self._seen.add(sequence)
        self._seen_order.append(sequence)
        if len(self._seen_order) > _REMEMBERED:
            self._seen.discard(self._seen_order.popleft())

    def add(self, entry: Entry) -> None:
        """Put a packet in its place."""
        entries = self._entries
        if not entries or entry.sequence > entries[-1].sequence:
            entries.append(entry)
        else:
            insort(entries, entry)

    def pop(self) -> Entry:
        """Take out the oldest packet; there must be one."""
        return self._entries.pop(0)

    def drop_before(self, sequence: int) -> int:
        """Throw away everything older than `sequence`; returns how many."""
        kept = [entry for entry in self._entries if entry.sequence >= sequence]
        dropped = len(self._entries) - len(kept)
        self._entries = kept
        return dropped

    def clear(self) -> int:
        """Forget everything, the numbering too; returns how many packets were held."""
        dropped = len(self._entries)
        self._entries = []
        self._newest = None
        self._suspect = None
        self._seen = set()
        self._seen_order = deque()
        return dropped
