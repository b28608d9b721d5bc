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


MAX_ROUND_TRIP_S: Final = 1.0
"""A first ping that took longer tells of a connection that is stuck already, not of a far one."""


class Lag:
    """The age of the oldest unacknowledged audio of one connection.

    How many frames were sent is counted by whoever writes them, and told with every call: counting is the
    hottest line of the server, and stands there alone.
    """

    __slots__ = ("_notes", "_round_trip_s", "received", "reported")

    def __init__(self) -> None:
        self._round_trip_s = float("inf")
        self.reported = False
        self.received = 0
        self._notes: deque[tuple[float, int]] = deque(maxlen=MAX_NOTES)

    def acknowledge(self, received: int, sent: int) -> bool:
        """The listener says it received so many frames; False where that is more than were sent.

        0 says nothing: it is the report of a publisher, or of a client that does not count.
        """
        if received > sent:
            return False
        if received > self.received:
            self.received = received
            self.reported = True
        return True

    def acknowledge_unreported(self, sent: int) -> None:
        """For a client that never reports: the kernel holds nothing unsent, which is all that can be known."""
        self.received = sent

    def round_trip(self, seconds: float) -> None:
        """A ping was answered after so long. The shortest counts: what comes on top of it is lag."""
        self._round_trip_s = min(self._round_trip_s, seconds)

    def look(self, sent: int, now: float) -> float:
        """Note what was sent by `now`; the age in seconds of what is not yet acknowledged, 0 if all is.

        The way there and back is not lag: its shortest known time is taken off.
        """
        notes = self._notes
        received = self.received
        while notes and notes[0][1] <= received:
            notes.popleft()
        if sent > received and (not notes or notes[-1][1] < sent):
            if len(notes) == MAX_NOTES:  # keep the oldest: it is the one that tells the age
                notes.pop()
            notes.append((now, sent))
        if not notes:
            return 0.0
        age = now - notes[0][0]
        return max(0.0, age - self._round_trip_s) if self._round_trip_s < MAX_ROUND_TRIP_S else age
