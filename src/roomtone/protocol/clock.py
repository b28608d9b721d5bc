"""The server's clock, as seen from the client: Cristian's algorithm over the best of the last exchanges."""

from __future__ import annotations

from collections import deque
from typing import Final

_WINDOW: Final = 8
# A round trip that waited in a queue says little: of the last eight, the shortest is believed (as NTP's clock
# filter does, RFC 5905, section 10).


class ClockFilter:
    """All times in milliseconds."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=_WINDOW)

    def add(self, sent_ms: float, server_ms: float, received_ms: float) -> None:
        """One exchange: sent and received on the local clock, answered at `server_ms` on the server's.

        An answer from before its question is ignored.
        """
        rtt = received_ms - sent_ms
        if rtt >= 0:
            self._samples.append((rtt, server_ms - (sent_ms + rtt / 2)))

    @property
    def rtt_ms(self) -> float | None:
        """The shortest round trip of the last eight; None before the first."""
        return min(self._samples)[0] if self._samples else None

    @property
    def offset_ms(self) -> float | None:
        """The server's clock minus the local one, at most rtt_ms / 2 off; None before the first."""
        return min(self._samples)[1] if self._samples else None
