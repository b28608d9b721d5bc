"""Which audio arrived: what a receive_report tells the sender, so that it knows how much lies on the way."""

from __future__ import annotations

from typing import Final

from roomtone.media.sequence import sequence_difference
from roomtone.protocol.messages import ReceiveReport

MAX_REPORTED_TRACKS: Final = 256
"""In one report; the others come with the next."""


class ReceiveLog:
    """The newest sequence number of each track, and when the next report is due. Times in seconds.

    A report holds only the tracks that moved since the last one, so silence costs nothing.
    """

    __slots__ = ("_changed", "_due", "_interval", "_newest")

    def __init__(self, now: float, *, interval_s: float = 0.5) -> None:
        self._interval = interval_s
        self._due = now + interval_s
        self._newest: dict[int, int] = {}
        self._changed: dict[int, int] = {}

    def note(self, track: int, sequence: int) -> None:
        """A frame came."""
        newest = self._newest.get(track)
        if newest is None or sequence_difference(sequence, newest) > 0:
            self._newest[track] = self._changed[track] = sequence

    def forget(self, track: int) -> None:
        """The track was closed; its id may be given again."""
        self._newest.pop(track, None)
        self._changed.pop(track, None)

    def clear(self) -> None:
        """All tracks are gone."""
        self._newest.clear()
        self._changed.clear()

    def next_deadline(self) -> float | None:
        """When a report is due; None while there is nothing to tell."""
        return self._due if self._changed else None

    def due(self, now: float) -> ReceiveReport | None:
        """The report, if it is time for one and something new came."""
        if now < self._due or not self._changed:
            return None
        self._due = now + self._interval
        changed = self._changed
        if len(changed) <= MAX_REPORTED_TRACKS:
            self._changed = {}
            return ReceiveReport(sequences=changed)
        told = dict(list(changed.items())[:MAX_REPORTED_TRACKS])
        for track in told:
            del changed[track]
        return ReceiveReport(sequences=told)
