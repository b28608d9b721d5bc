"""The packets of one outgoing track: numbers, times and talkspurts."""

from __future__ import annotations

from roomtone.media.packet import (
    FLAG_DISCONTINUITY,
    FLAG_TALKSPURT_END,
    FLAG_TALKSPURT_START,
    MAX_LEVEL,
    Codec,
    Packet,
)
from roomtone.media.sequence import SEQUENCE_MODULUS, TIMESTAMP_MODULUS


class TrackSender:
    """Numbers the frames of a track. sequence and timestamp: the first packet's (RFC 3550 wants them random).

    Durations are in 48 kHz ticks: 960 for 20 ms.
    """

    __slots__ = ("_discontinuity", "_in_talkspurt", "codec", "sequence", "timestamp", "track_id")

    def __init__(self, track_id: int, codec: Codec, *, sequence: int = 0, timestamp: int = 0) -> None:
        self.track_id = track_id
        self.codec = codec
        self.sequence = sequence % SEQUENCE_MODULUS
        self.timestamp = timestamp % TIMESTAMP_MODULUS
        self._in_talkspurt = False
        self._discontinuity = False

    def packet(
        self,
        payload: bytes,
        duration_ticks: int,
        *,
        level: int = MAX_LEVEL,
        voice: bool = False,
        end: bool = False,
    ) -> Packet:
        """The next packet. The first, also after an end or a gap, begins a talkspurt; `end` ends it."""
        flags = 0
        if not self._in_talkspurt:
            flags = FLAG_TALKSPURT_START
        if end:
            flags |= FLAG_TALKSPURT_END
        if self._discontinuity:
            flags |= FLAG_DISCONTINUITY
            self._discontinuity = False
        packet = Packet(
            self.track_id,
            self.sequence,
            self.timestamp,
            payload,
            codec=self.codec,
            flags=flags,
            level=level,
            voice=voice,
        )
        self.sequence = (self.sequence + 1) % SEQUENCE_MODULUS
        self.timestamp = (self.timestamp + duration_ticks) % TIMESTAMP_MODULUS
        self._in_talkspurt = not end
        return packet

    def gap(self, ticks: int) -> None:
        """Nothing was said for `ticks`: time goes on, sequence numbers do not, the next packet begins a
        talkspurt."""
        self.timestamp = (self.timestamp + ticks) % TIMESTAMP_MODULUS
        self._in_talkspurt = False

    def skip(self, packets: int, ticks: int) -> None:
        """`packets` frames of `ticks` in all were made but will not be sent: their numbers are used up and
        the next packet carries the discontinuity flag."""
        self.sequence = (self.sequence + packets) % SEQUENCE_MODULUS
        self.timestamp = (self.timestamp + ticks) % TIMESTAMP_MODULUS
        self._discontinuity = True
