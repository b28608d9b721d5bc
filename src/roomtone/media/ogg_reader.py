"""Reads Opus packets out of an Ogg file or stream (RFC 7845) as its bytes arrive, whatever their state."""

from __future__ import annotations

from typing import Final, NamedTuple

from roomtone.media import opus_packet
from roomtone.media.ogg_page import (
    FLAG_CONTINUED,
    FLAG_FIRST,
    FLAG_LAST,
    NO_GRANULE,
    PAGE_HEADER_BYTES,
    TAGS_MAGIC,
    OpusHead,
    Page,
    find_page,
    parse_tags,
)

MAX_PACKET_BYTES: Final = 65_536
"""More than the longest packet of one stream; longer ones are skipped, comments with pictures among them."""


class OggPacket(NamedTuple):
    """One Opus packet.

    position: of its first sample, in 48 kHz ticks since the stream's own zero, the pre-skip included.
    ticks: its length. keep_ticks: how much of it is to be heard, less only at the very end (RFC 7845, 4.4).
    discontinuity: something before it is missing, or another stream began.
    """

    payload: bytes
    position: int
    ticks: int
    keep_ticks: int
    discontinuity: bool


class OggOpusReader:
    """Feed it bytes of any size; it gives the packets of the first Opus stream in them, and of those chained
    to it.

    Damaged pages, garbage between pages, lost pages, packets across pages, other streams in between: none of
    it raises. What was skipped is counted in `skipped_bytes` and `bad_packets`.
    """

    def __init__(self) -> None:
        self.head: OpusHead | None = None
        self.tags: dict[str, str] = {}
        self.ended = False
        self.skipped_bytes = 0
        self.bad_packets = 0
        self._buffer = bytearray()
        self._serial = 0
        self._next_page = 0
        self._tags_due = False
        self._partial: bytearray | None = None
        self._position: int | None = None
        self._discontinuity = False

    def feed(self, data: bytes) -> list[OggPacket]:
        """The packets that these bytes complete, in order."""
        self._buffer += data
        packets: list[OggPacket] = []
        at = 0
        while True:
            page, end = find_page(self._buffer, at)
            if page is None:
                self.skipped_bytes += end - at
                at = end
                break
            # What lies between the last page and this one was no page.
            size = len(page.laces) + len(page.body) + PAGE_HEADER_BYTES
            self.skipped_bytes += end - at - size
            at = end
            packets.extend(self._take_page(page))
        del self._buffer[:at]
        return packets

    def finish(self) -> list[OggPacket]:
        """The packets of whole pages that were held back behind what looked like the start of a longer one.

        Call it after the last bytes; only a damaged stream has such.
        """
        packets: list[OggPacket] = []
        while len(self._buffer) > PAGE_HEADER_BYTES:
            del self._buffer[0]
            self.skipped_bytes += 1
            packets += self.feed(b"")
        self.skipped_bytes += len(self._buffer)
        self._buffer.clear()
        return packets

    def _take_page(self, page: Page) -> list[OggPacket]:
        if page.flags & FLAG_FIRST:
            self._begin(page)
            return []
        if self.head is None or page.serial != self._serial:
            return []
        if page.sequence != self._next_page:
            self._partial = None
            self._discontinuity = True
        self._next_page = (page.sequence + 1) & 0xFFFF_FFFF
        payloads = self._payloads(page)
        if self._tags_due:
            if not payloads:
                return []
            self._tags_due = False
            # Where the page with the comments was lost, this is sound already.
            if payloads[0].startswith(TAGS_MAGIC):
                self.tags = parse_tags(payloads.pop(0))
        if page.flags & FLAG_LAST:
            self.ended = True
        return self._place(payloads, page)

    def _begin(self, page: Page) -> None:
        """A stream's first page: ours if it is Opus and none is being read."""
        if self.head is not None and not self.ended and page.serial != self._serial:
            return
        try:
            head = OpusHead.parse(page.body)
        except ValueError:
            return
        self._discontinuity = self.head is not None
        self.head = head
        self.tags = {}
        self.ended = False
        self._serial = page.serial
        self._next_page = (page.sequence + 1) & 0xFFFF_FFFF
        self._tags_due = True
        self._partial = None
        self._position = None

    def _payloads(self, page: Page) -> list[bytes]:
        """The packets that end on this page; what begins on it and goes on is kept."""
        payloads: list[bytes] = []
        partial = self._partial
        # The end of a packet whose beginning was lost is read over.
        lost = bool(page.flags & FLAG_CONTINUED) and partial is None
        if not page.flags & FLAG_CONTINUED:
            if partial is not None:
                self._discontinuity = True
            partial = None
        at = 0
        for lace in page.laces:
            if partial is None:
                partial = bytearray()
            if len(partial) <= MAX_PACKET_BYTES:
                partial += page.body[at : at + lace]
            at += lace
            if lace < 255:
                if not lost:
                    payloads.append(bytes(partial))
                lost = False
                partial = None
        self._partial = partial if not lost else None
        return payloads

    def _place(self, payloads: list[bytes], page: Page) -> list[OggPacket]:
        """Positions for a page's packets: counted on from the last page, and checked by its granule."""
        timed: list[tuple[bytes, int]] = []
        for payload in payloads:
            try:
                timed.append((payload, opus_packet.duration_ticks(payload)))
            except ValueError:
                self.bad_packets += 1
                self._discontinuity = True
        total = sum(ticks for _, ticks in timed)
        start = self._position
        end = page.granule if page.granule != NO_GRANULE and timed else None
        last = bool(page.flags & FLAG_LAST)
        if start is None or (end is not None and end != start + total and not (last and end < start + total)):
            # The first page, or one after a hole: its end is what is known.
            start = 0 if end is None else max(0, end - total)
            self._discontinuity = self._discontinuity or self._position is not None
        packets: list[OggPacket] = []
        for payload, ticks in timed:
            keep = ticks
            if last and end is not None:
                keep = min(ticks, max(0, end - start))
            packets.append(OggPacket(payload, start, ticks, keep, self._discontinuity))
            self._discontinuity = False
            start += ticks
        if timed:
            self._position = start
        return packets
