"""Writes Opus packets as an Ogg file or stream (RFC 7845), as bytes: the caller does the writing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from roomtone.media import opus_packet
from roomtone.media.ogg_page import (
    FLAG_FIRST,
    FLAG_LAST,
    MAX_SEGMENTS,
    NO_GRANULE,
    OpusHead,
    Page,
    page_bytes,
    tags_packet,
)

DEFAULT_PRE_SKIP: Final = 312
"""6.5 ms: libopus's look-ahead at 48 kHz outside low-delay mode."""
MAX_PAGE_MS: Final = 1_000
"""RFC 7845, 6 asks for no more."""
MAX_GAP_MS: Final = 3_600_000
"""A longer gap than an hour is a broken timestamp."""
CONCEALED_GAP_MS: Final = 100
"""So much of a gap is left to the decoder's concealment; the rest is silence."""

_STEP_TICKS: Final = 120
_TICKS_PER_MS: Final = 48
# Silent frames of 2.5, 5, 10 and 20 ms: the first bit of a CELT frame says "silence" (RFC 6716, 4.3).
_SILENT_BODY: Final = b"\xff\xfe"
_SILENT_CONFIGURATIONS: Final = ((960, 31), (480, 30), (240, 29), (120, 28))
_FRAMES_A_PACKET: Final = 6


class OggOpusWriter:
    """One logical stream of one track.

    serial: 0..2**32-1, different for each stream of a file. channels: 1 or 2. pre_skip: the encoder's
    look-ahead in 48 kHz ticks. Every method returns the bytes to append to the file, which may be none.
    `header` comes first, `close` last.
    """

    def __init__(
        self,
        serial: int,
        channels: int = 1,
        *,
        pre_skip: int = DEFAULT_PRE_SKIP,
        input_rate_hz: int = 48_000,
        comments: Mapping[str, str] | None = None,
        page_ms: int = MAX_PAGE_MS,
    ) -> None:
        if channels not in (1, 2):
            raise ValueError(f"this writer has 1 or 2 channels, not {channels}")
        if not 0 <= serial < 1 << 32:
            raise ValueError(f"a serial number has 32 bits, {serial} has not")
        if not 0 < page_ms <= MAX_PAGE_MS:
            raise ValueError(f"page_ms is 1..{MAX_PAGE_MS}, not {page_ms}")
        self._serial = serial
        self._channels = channels
        self._pre_skip = pre_skip
        self._page_ticks = page_ms * _TICKS_PER_MS
        self._head = OpusHead(channels, pre_skip, input_rate_hz).to_bytes()
        self._tags = tags_packet("roomtone", comments or {})
        if len(self._tags) >= MAX_SEGMENTS * 255:
            raise ValueError("the comments do not fit one page")
        self._sequence = 0
        self._laces = bytearray()
        self._body = bytearray()
        self._pending_ticks = 0
        self._position = 0
        self._toc = _SILENT_CONFIGURATIONS[0][1] << 3
        self._closed = False

    @property
    def position_ticks(self) -> int:
        """How much was added, gaps too, in 48 kHz ticks: where the next packet goes."""
        return self._position

    def header(self) -> bytes:
        """The two header pages. Raises ValueError when called twice."""
        if self._sequence:
            raise ValueError("the header was already written")
        first = self._page(FLAG_FIRST, 0, _laces(len(self._head)), self._head)
        return first + self._page(0, 0, _laces(len(self._tags)), self._tags)

    def add(self, payload: bytes, timestamp: int | None = None) -> bytes:
        """Append one packet.

        timestamp: where its first sample belongs, in 48 kHz ticks since the start, unwrapped; None for right
        after the one before. What is missing before it is filled: up to 100 ms by packets that make the
        decoder conceal, the rest by silence, in whole steps of 2.5 ms (what remains is made good at the next
        gap). A packet that belongs before the end of the last one is appended all the same. Raises ValueError
        for a malformed packet, for a gap of over an hour, and when not between header and close.
        """
        if self._closed or not self._sequence:
            raise ValueError("packets are added between header and close")
        ticks = opus_packet.duration_ticks(payload)
        filled = b"" if timestamp is None else self._fill(timestamp - self._position)
        self._toc = payload[0]
        return filled + self._append(payload, ticks)

    def flush(self) -> bytes:
        """What was added but not yet returned, as a page: for a live stream, or to lose less in a crash."""
        return self._emit(0) if self._laces else b""

    def close(self, *, duration_ticks: int | None = None) -> bytes:
        """The last page. duration_ticks: the sound's length, when its last packet is only partly wanted.

        It is counted from the start, after the pre-skip; None keeps every sample. Nothing the second time, or
        without a header.
        """
        if self._closed or not self._sequence:
            return b""
        if duration_ticks is not None:
            wanted = self._pre_skip + duration_ticks
            if not self._position - self._pending_ticks <= wanted <= self._position:
                raise ValueError(f"{duration_ticks} ticks do not end within the last page")
            self._position = wanted
        self._closed = True
        return self._emit(FLAG_LAST)

    def _fill(self, gap_ticks: int) -> bytes:
        if gap_ticks > MAX_GAP_MS * _TICKS_PER_MS:
            raise ValueError(f"a gap of {gap_ticks} ticks is over an hour")
        pages = bytearray()
        concealed = 0
        while gap_ticks >= _STEP_TICKS:
            if concealed < CONCEALED_GAP_MS * _TICKS_PER_MS:
                payload, ticks = self._lost_packet(gap_ticks)
                concealed += ticks
            else:
                payload, ticks = self._silent_packet(gap_ticks)
            pages += self._append(payload, ticks)
            gap_ticks -= ticks
        return bytes(pages)

    def _lost_packet(self, gap_ticks: int) -> tuple[bytes, int]:
        """A packet without data (RFC 7845, 4.1), in the mode of the one before, or in CELT if too long."""
        payload = bytes((self._toc & 0xFC,))
        ticks = opus_packet.duration_ticks(payload)
        if ticks <= gap_ticks:
            return payload, ticks
        ticks, configuration = next(pair for pair in _SILENT_CONFIGURATIONS if pair[0] <= gap_ticks)
        return bytes((configuration << 3 | self._toc & 4,)), ticks

    def _silent_packet(self, gap_ticks: int) -> tuple[bytes, int]:
        stereo = (self._channels - 1) << 2
        ticks, configuration = next(pair for pair in _SILENT_CONFIGURATIONS if pair[0] <= gap_ticks)
        count = min(_FRAMES_A_PACKET, gap_ticks // ticks)
        return bytes((configuration << 3 | stereo | 3, count)) + _SILENT_BODY * count, ticks * count

    def _append(self, payload: bytes, ticks: int) -> bytes:
        laces = _laces(len(payload))
        page = b""
        # The page before this packet goes out, not the one with it, so that close has a page to mark as last.
        if self._laces and (
            self._pending_ticks + ticks > self._page_ticks or len(self._laces) + len(laces) > MAX_SEGMENTS
        ):
            page = self._emit(0)
        self._laces += laces
        self._body += payload
        self._pending_ticks += ticks
        self._position += ticks
        return page

    def _emit(self, flags: int) -> bytes:
        granule = self._position if self._laces else NO_GRANULE
        page = self._page(flags, granule, bytes(self._laces), bytes(self._body))
        self._laces.clear()
        self._body.clear()
        self._pending_ticks = 0
        return page

    def _page(self, flags: int, granule: int, laces: bytes, body: bytes) -> bytes:
        page = page_bytes(Page(flags, granule, self._serial, self._sequence, laces, body))
        self._sequence += 1
        return page


def _laces(size: int) -> bytes:
    """A packet's segment lengths: 255s and one smaller number (RFC 3533, 5)."""
    return b"\xff" * (size // 255) + bytes((size % 255,))
