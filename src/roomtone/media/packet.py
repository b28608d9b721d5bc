"""The unit that a room forwards: one encoded audio frame and its 12-byte header.

The header carries the fields of RTP (RFC 3550), so that a WebRTC or phone door maps one to one::

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    +-------+-------+---------------+-+-------------+---------------+
    |ver = 1|kind =1|0 0 0 0|E|D|T|S|V| level -dBov |     codec     |
    +-------+-------+---------------+-+-------------+---------------+
    |           track id            |        sequence number        |
    +-------------------------------+-------------------------------+
    |             timestamp of the first sample, 48 kHz ticks       |
    +---------------------------------------------------------------+
    |                       one codec frame ...                     |
    +---------------------------------------------------------------+

S talkspurt start, T talkspurt end, D discontinuity, E end-to-end encrypted; V voice bit and level as in
RFC 6464. Multi-byte fields are in network byte order.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import Final

VERSION: Final = 1
KIND_AUDIO: Final = 1
HEADER_BYTES: Final = 12
CLOCK_RATE_HZ: Final = 48_000
"""Every timestamp counts 48 kHz ticks, whatever the codec's own rate, as Opus over RTP does (RFC 7587)."""
MAX_PAYLOAD_BYTES: Final = 11_520
"""60 ms of 48 kHz stereo PCM; an Opus frame has at most 1,275 bytes (RFC 6716)."""
MAX_LEVEL: Final = 127
"""RFC 6464: 0 is the loudest level, 127 is digital silence."""

FLAG_TALKSPURT_START: Final = 0x01
FLAG_TALKSPURT_END: Final = 0x02
FLAG_DISCONTINUITY: Final = 0x04
FLAG_ENCRYPTED: Final = 0x08
KNOWN_FLAGS: Final = 0x0F

_HEADER = struct.Struct("!BBBBHHI")
_FIRST_BYTE: Final = VERSION << 4 | KIND_AUDIO


class Codec(IntEnum):
    """Byte 3 of the header."""

    OPUS = 0
    PCM_16K = 1
    PCM_24K = 2
    PCM_48K = 3
    PCMU = 4
    PCMA = 5


CODEC_NAMES: Final[dict[str, Codec]] = {
    "opus": Codec.OPUS,
    "pcm_16k": Codec.PCM_16K,
    "pcm_24k": Codec.PCM_24K,
    "pcm_48k": Codec.PCM_48K,
    "pcmu": Codec.PCMU,
    "pcma": Codec.PCMA,
}
"""The codecs' names in control messages."""
_CODECS: Final[tuple[Codec, ...]] = tuple(Codec)


def _frame(data: bytes) -> bytes:
    size = len(data)
    if size < 126:
        return b"\x82" + size.to_bytes(1, "big") + data
    return b"\x82\x7e" + size.to_bytes(2, "big") + data


class PacketError(ValueError):
    """The bytes are not an audio frame of this version of the protocol."""


class Packet:
    """One encoded frame. Immutable by convention and shared by every listener.

    sequence: 0..65535, wraps. timestamp: 0..2**32-1, 48 kHz ticks, wraps. level: 0..127 -dBov.
    `data` is header and payload; `frame` is `data` inside a ready-made, unmasked, final WebSocket binary frame
    (RFC 6455, 5.2), made once however many listeners there are.
    """

    __slots__ = (
        "_discontinuous",
        "codec",
        "data",
        "flags",
        "frame",
        "level",
        "sequence",
        "timestamp",
        "track",
        "voice",
    )

    def __init__(
        self,
        track: int,
        sequence: int,
        timestamp: int,
        payload: bytes,
        *,
        codec: Codec = Codec.OPUS,
        flags: int = 0,
        level: int = MAX_LEVEL,
        voice: bool = False,
    ) -> None:
        self.track = track
        self.sequence = sequence
        self.timestamp = timestamp
        self.codec = codec
        self.flags = flags
        self.level = level
        self.voice = voice
        self.data: bytes = (
            _HEADER.pack(_FIRST_BYTE, flags, voice << 7 | level, codec, track, sequence, timestamp) + payload
        )
        self.frame = _frame(self.data)
        self._discontinuous: Packet | None = None

    @classmethod
    def decode(cls, data: bytes) -> Packet:
        """Parse one binary message.

        Raises PacketError for a short header, an unknown version, kind, codec or flag, an empty or oversized
        payload. The payload itself is not looked at.
        """
        size = len(data)
        if size <= HEADER_BYTES:
            raise PacketError(f"an audio frame has over {HEADER_BYTES} bytes, this one has {size}")
        if size > HEADER_BYTES + MAX_PAYLOAD_BYTES:
            raise PacketError(f"an audio payload has at most {MAX_PAYLOAD_BYTES} bytes, not {size - HEADER_BYTES}")
        first, flags, level, codec, track, sequence, timestamp = _HEADER.unpack_from(data)
        if first != _FIRST_BYTE:
            raise PacketError(f"version {first >> 4}, kind {first & 15} is not known; 1, 1 is")
        if flags & ~KNOWN_FLAGS:
            raise PacketError(f"flags 0x{flags:02x} has unknown bits")
        if codec >= len(_CODECS):
            raise PacketError(f"codec {codec} is not known")
        self = cls.__new__(cls)
        self.track = track
        self.sequence = sequence
        self.timestamp = timestamp
        self.codec = _CODECS[codec]
        self.flags = flags
        self.level = level & 0x7F
        self.voice = level > 0x7F
        self.data = data
        self.frame = _frame(data)
        self._discontinuous = None
        return self

    @property
    def payload(self) -> bytes:
        """One codec frame."""
        return self.data[HEADER_BYTES:]

    @property
    def discontinuous(self) -> Packet:
        """This packet with the discontinuity flag: a listener's first after a drop or a forwarding gap."""
        if self.flags & FLAG_DISCONTINUITY:
            return self
        other = self._discontinuous
        if other is None:
            other = self._discontinuous = Packet(
                self.track,
                self.sequence,
                self.timestamp,
                self.payload,
                codec=self.codec,
                flags=self.flags | FLAG_DISCONTINUITY,
                level=self.level,
                voice=self.voice,
            )
        return other

    def __repr__(self) -> str:
        return (
            f"Packet(track={self.track}, sequence={self.sequence}, timestamp={self.timestamp}, "
            f"codec={self.codec.name}, flags=0x{self.flags:x}, level={self.level}, voice={self.voice}, "
            f"payload={len(self.data) - HEADER_BYTES} bytes)"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Packet) and self.data == other.data

    def __hash__(self) -> int:
        return hash(self.data)
