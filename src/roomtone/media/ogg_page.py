"""Ogg pages (RFC 3533) and the headers of Opus in Ogg (RFC 7845): what writer and reader share."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Final, NamedTuple

CAPTURE: Final = b"OggS"
TAGS_MAGIC: Final = b"OpusTags"
PAGE_HEADER_BYTES: Final = 27
MAX_SEGMENTS: Final = 255
MAX_PAGE_BYTES: Final = PAGE_HEADER_BYTES + MAX_SEGMENTS + MAX_SEGMENTS * 255
NO_GRANULE: Final = -1
"""The granule position of a page on which no packet ends."""

FLAG_CONTINUED: Final = 1
FLAG_FIRST: Final = 2
FLAG_LAST: Final = 4

_PAGE = struct.Struct("<4sBBqIIIB")
_HEAD = struct.Struct("<8sBBHIhB")
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc(data: bytes) -> int:
    """The CRC of RFC 3533, 6: polynomial 0x04c11db7, most significant bit first, starting from 0, not
    inverted.

    zlib's has the same polynomial but goes from the other end, starts from ones and inverts: so the bits of
    every byte and of the result are reversed, and both inversions undone.
    """
    mirrored = zlib.crc32(data.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")


class Page(NamedTuple):
    """One page. `laces` are the segment lengths, `body` their bytes."""

    flags: int
    granule: int
    serial: int
    sequence: int
    laces: bytes
    body: bytes


def page_bytes(page: Page) -> bytes:
    """The page with its CRC."""
    header = _PAGE.pack(CAPTURE, 0, page.flags, page.granule, page.serial, page.sequence, 0, len(page.laces))
    data = header + page.laces + page.body
    return data[:22] + crc(data).to_bytes(4, "little") + data[26:]


def find_page(buffer: bytes | bytearray, start: int) -> tuple[Page | None, int]:
    """The next whole and undamaged page at or after `start`, and where the bytes after it begin.

    Without one: None, and from where on the bytes may yet become a page.
    """
    while True:
        at = buffer.find(CAPTURE, start)
        if at < 0:
            # The pattern may have begun in the last three bytes.
            return None, max(start, len(buffer) - len(CAPTURE) + 1)
        if len(buffer) < at + PAGE_HEADER_BYTES:
            return None, at
        _, version, flags, granule, serial, sequence, checksum, segments = _PAGE.unpack_from(buffer, at)
        body_at = at + PAGE_HEADER_BYTES + segments
        if version:
            start = at + 1
            continue
        if len(buffer) < body_at:
            return None, at
        laces = bytes(buffer[at + PAGE_HEADER_BYTES : body_at])
        end = body_at + sum(laces)
        if len(buffer) < end:
            return None, at
        data = bytes(buffer[at:end])
        if crc(data[:22] + b"\0\0\0\0" + data[26:]) != checksum:
            start = at + 1
            continue
        return Page(flags, granule, serial, sequence, laces, data[body_at - at :]), end


class OpusHead(NamedTuple):
    """The identification header (RFC 7845, 5.1).

    pre_skip: 48 kHz samples to throw away at the start. input_rate_hz: the original's, for information.
    gain_q8: 1/256 dB to apply at playback.
    """

    channels: int
    pre_skip: int
    input_rate_hz: int = 48_000
    gain_q8: int = 0

    def to_bytes(self) -> bytes:
        """The header packet, of mapping family 0."""
        return _HEAD.pack(b"OpusHead", 1, self.channels, self.pre_skip, self.input_rate_hz, self.gain_q8, 0)

    @classmethod
    def parse(cls, packet: bytes) -> OpusHead:
        """Raises ValueError for anything but 1 or 2 channels of mapping family 0."""
        if len(packet) < _HEAD.size or not packet.startswith(b"OpusHead"):
            raise ValueError("this is no OpusHead packet")
        _, version, channels, pre_skip, rate_hz, gain, family = _HEAD.unpack_from(packet)
        if version >> 4 or family or channels not in (1, 2):
            raise ValueError(f"OpusHead version {version}, {channels} channels, family {family} is not supported")
        return cls(channels, pre_skip, rate_hz, gain)


def tags_packet(vendor: str, comments: Mapping[str, str]) -> bytes:
    """The comment header (RFC 7845, 5.2). Raises ValueError for a name that is not of the form it asks."""
    fields = [TAGS_MAGIC, _text(vendor), len(comments).to_bytes(4, "little")]
    for name, value in comments.items():
        if not name or any(not " " <= letter <= "}" or letter == "=" for letter in name):
            raise ValueError(f"{name!r} is no name of a comment: printable ASCII without '=' is")
        fields.append(_text(f"{name}={value}"))
    return b"".join(fields)


def parse_tags(packet: bytes) -> dict[str, str]:
    """The comments by upper-case name, the first of each; those after a damaged one are left out."""
    tags: dict[str, str] = {}
    if not packet.startswith(TAGS_MAGIC):
        return tags
    vendor_bytes = int.from_bytes(packet[8:12], "little")
    at = 12 + vendor_bytes
    count = int.from_bytes(packet[at : at + 4], "little")
    at += 4
    for _ in range(count):
        size = int.from_bytes(packet[at : at + 4], "little")
        at += 4
        if at + size > len(packet) or not size:
            break
        name, equals, value = packet[at : at + size].decode("utf-8", "replace").partition("=")
        at += size
        if equals:
            tags.setdefault(name.upper(), value)
    return tags


def _text(value: str) -> bytes:
    data = value.encode()
    return len(data).to_bytes(4, "little") + data
