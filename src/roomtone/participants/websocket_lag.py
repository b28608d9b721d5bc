"""How far behind a listener is, by what it acknowledged.

The kernel hides a stuck reader: a socket that nobody reads swallows minutes of audio before a write ever
fails. So what counts is what the listener says it received. Frames are counted, not timed: at each look the
number of frames sent so far is noted with the time, and the oldest note that is not yet acknowledged tells
the age of what lies in buffers on the way.
"""

from __future__ import annotations

from collections import deque
from typing import Final

MAX_NOTES: Final = 64
"""At four looks a second, 16 s: more than the 10 s after which a listener is closed."""


class Lag:
    """The age of the oldest unacknowledged audio of one connection.

    `sent` is counted up by whoever writes frames; everything else goes through methods.
    """

    __slots__ = ("_notes", "_received", "reported", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self.reported = False
        self._received = 0
        self._notes: deque[tuple[float, int]] = deque(maxlen=MAX_NOTES)

    def acknowledge(self, received: int) -> bool:
        """The listener says it received so many frames; False where that is more than were sent.

        0 says nothing: it is the report of a publisher, or of a client that does not count.
        """
        if received > self.sent:
            return False
        self.reported = self.reported or received > 0
        self._received = max(self._received, received)
        return True

    def acknowledge_unreported(self) -> None:
        """For a client that never reports: the kernel holds nothing unsent, which is all that can be known."""
        self._received = self.sent

    def look(self, now: float) -> float:
        """Note what was sent by `now`; the age in seconds of what is not yet acknowledged, 0 if all is."""
        notes = self._notes
        received = self._received
        while notes and notes[0][1] <= received:
            notes.popleft()
        sent = self.sent
        if sent > received and (not notes or notes[-1][1] < sent):
            if len(notes) == MAX_NOTES:  # keep the oldest: it is the one that tells the age
                notes.pop()
            notes.append((now, sent))
        return now - notes[0][0] if notes else 0.0

    @property
    def outstanding(self) -> int:
        """Frames sent and not yet acknowledged."""
        return self.sent - self._received
