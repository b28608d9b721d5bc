"""What a jitter buffer tells about itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class JitterTotals:
    """Totals since the buffer was made.

    Samples are of one channel: concealed (invented, of which silent_concealed after the fade), accelerated
    (left out), expanded (put in). Packets: received, late, dropped (too many, or strays), duplicates, garbage
    (undecodable), lost, fec_recovered. underruns: how often nothing was left in the middle of a talkspurt.
    """

    concealed_samples: int = 0
    silent_concealed_samples: int = 0
    accelerated_samples: int = 0
    expanded_samples: int = 0
    received: int = 0
    late: int = 0
    dropped: int = 0
    duplicates: int = 0
    garbage: int = 0
    lost: int = 0
    fec_recovered: int = 0
    underruns: int = 0


@dataclass(frozen=True, slots=True)
class JitterStatistics:
    """JitterTotals at one moment, with the present depth.

    depth_ms: how far playout is behind the fastest path; target_ms: how far it shall be; jitter_ms: RFC 3550.
    buffered_ms: sound held, decoded or not. emitted_samples: how many came from packets; waited_ms: the sum
    of the times from their packets' arrival to their emission.
    """

    depth_ms: float
    target_ms: float
    jitter_ms: float
    buffered_ms: float
    emitted_samples: int
    waited_ms: float
    concealed_samples: int
    silent_concealed_samples: int
    accelerated_samples: int
    expanded_samples: int
    received: int
    late: int
    dropped: int
    duplicates: int
    garbage: int
    lost: int
    fec_recovered: int
    underruns: int

    @property
    def stretched_samples(self) -> int:
        """Left out and put in."""
        return self.accelerated_samples + self.expanded_samples

    @property
    def delay_ms(self) -> float:
        """Mean time from a packet's arrival to the emission of its samples."""
        return self.waited_ms / self.emitted_samples if self.emitted_samples else 0.0
