"""How much audio arrived: what a receive_report tells the sender, who learns how much lies on the way."""

from __future__ import annotations

from typing import Final

from roomtone.media.sequence import sequence_difference
from roomtone.protocol.messages import ReceiveReport

MAX_REPORTED_TRACKS: Final = 256
"""In one report; the others come with the next."""


class ReceiveLog:
    """The frames received over one connection, the newest sequence number of each track, and when the next
    report is due. Times in seconds.

    A report names only the tracks that moved since the last one, and silence needs no report.
    """

    __slots__ = ("_changed", "_due", "_interval", "_newest", "_reported", "received")

    def __init__(self, now: float, *, interval_s: float = 0.5) -> None:
        self._interval = interval_s
        self._due = now + interval_s
        self._reported = 0
        self.received = 0
        self._newest: dict[int, int] = {}
        self._changed: dict[int, int] = {}

    def note(self, track: int, sequence: int) -> None:
        """A frame came."""
        self.received += 1
        newest = self._newest.get(track)
        if newest is None or sequence_difference(sequence, newest) > 0:
            self._newest[track] = self._changed[track] = sequence

    def forget(self, track: int) -> None:
        """The track was closed; its id may be given again."""
        self._newest.pop(track, None)
        self._changed.pop(track, None)

    def next_deadline(self) -> float | None:
        """When a report is due; None while there is nothing to tell."""
        return self._due if self.received != self._reported else None

    def due(self, now: float) -> ReceiveReport | None:
        """The report, if it is time for one and something new came."""
        if now < self._due or self.received == self._reported:
            return None
        self._due = now + self._interval
        self._reported = self.received
        changed = self._changed
        if len(changed) <= MAX_REPORTED_TRACKS:
            self._changed = {}
            return ReceiveReport(received=self.received, sequences=changed)
        told = dict(list(changed.items())[:MAX_REPORTED_TRACKS])
        for track in told:
            del changed[track]
        return ReceiveReport(received=self.received, sequences=told)
