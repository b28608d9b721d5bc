"""What an Opus packet says about itself, read from its first bytes without decoding (RFC 6716, 3 and 4.2.3).

Every function takes any bytes and raises nothing but ValueError, for those that are no Opus packet.
"""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_DURATION_TICKS: Final = 5_760
"""120 ms at 48 kHz (RFC 6716, 3.2.5, R5)."""
MAX_FRAME_BYTES: Final = 1_275

_SILK_TICKS: Final = (480, 960, 1920, 2880)
_CELT_TICKS: Final = (120, 240, 480, 960)
# By configuration number, RFC 6716, table 2: 0-11 SILK, 12-15 hybrid, 16-31 CELT.
_FRAME_TICKS: Final = (*_SILK_TICKS * 3, *_SILK_TICKS[:2] * 2, *_CELT_TICKS * 4)
_FIRST_CELT: Final = 16


class Frames(NamedTuple):
    """Where a packet's frames lie: `spans` are (offset, size) in it. frame_ticks: 48 kHz ticks of each."""

    config: int
    channels: int
    frame_ticks: int
    spans: tuple[tuple[int, int], ...]


def parse(payload: bytes) -> Frames:
    """The frames of a packet, checked against all of R1 to R7 of RFC 6716, 3.4. Raises ValueError."""
    if not payload:
        raise ValueError("an Opus packet has at least one byte")
    toc = payload[0]
    frame_ticks = _FRAME_TICKS[toc >> 3]
    code = toc & 3
    size = len(payload) - 1
    if code == 0:
        spans: tuple[tuple[int, int], ...] = ((1, size),)
    elif code == 1:
        half, odd = divmod(size, 2)
        if odd:
            raise ValueError("two Opus frames of one size have an even number of bytes")
        spans = ((1, half), (1 + half, half))
    elif code == 2:
        first, used = _frame_length(payload, 1, len(payload))
        start = 1 + used
        spans = ((start, first), (start + first, len(payload) - start - first))
    else:
        spans = _parse_many(payload, frame_ticks)
    last = spans[-1][1]
    if last < 0 or last > MAX_FRAME_BYTES:
        raise ValueError(f"an Opus frame has 0..{MAX_FRAME_BYTES} bytes, not {last}")
    return Frames(toc >> 3, 2 if toc & 4 else 1, frame_ticks, spans)


def _frame_length(payload: bytes, at: int, end: int) -> tuple[int, int]:
    """A frame's length as coded at `at` (3.2.1), and how many bytes the code took."""
    if at >= end:
        raise ValueError("the Opus packet ends within a frame's length")
    first = payload[at]
    if first < 252:
        return first, 1
    if at + 1 >= end:
        raise ValueError("the Opus packet ends within a frame's length")
    return first + 4 * payload[at + 1], 2


def _parse_many(payload: bytes, frame_ticks: int) -> tuple[tuple[int, int], ...]:
    """Code 3 (3.2.5): any number of frames, of one size or several, with padding."""
    if len(payload) < 2:
        raise ValueError("the Opus packet ends before its frame count")
    flags = payload[1]
    count = flags & 0x3F
    if not count or count * frame_ticks > MAX_DURATION_TICKS:
        raise ValueError(f"{count} frames of {frame_ticks} ticks are not within 1..{MAX_DURATION_TICKS} ticks")
    at = 2
    end = len(payload)
    if flags & 0x40:
        at, padding = _padding(payload, at)
        end -= padding
        if end < at:
            raise ValueError("an Opus packet is shorter than its padding")
    sizes: list[int] = []
    if flags & 0x80:
        for _ in range(count - 1):
            size, used = _frame_length(payload, at, end)
            at += used
            sizes.append(size)
        sizes.append(end - at - sum(sizes))
        if sizes[-1] < 0:
            raise ValueError("an Opus packet is shorter than its frames")
    else:
        size, rest = divmod(end - at, count)
        if rest:
            raise ValueError(f"{end - at} bytes are not {count} Opus frames of one size")
        sizes = [size] * count
    spans: list[tuple[int, int]] = []
    for size in sizes:
        spans.append((at, size))
        at += size
    return tuple(spans)


def _padding(payload: bytes, at: int) -> tuple[int, int]:
    """Where the padding's length ends and how many bytes of padding follow the frames."""
    padding = 0
    while True:
        if at >= len(payload):
            raise ValueError("the Opus packet ends within its padding's length")
        step = payload[at]
        at += 1
        if step < 255:
            return at, padding + step
        padding += 254


def duration_ticks(payload: bytes) -> int:
    """The packet's length in 48 kHz ticks, 120..5760. Raises ValueError for a malformed packet."""
    frames = parse(payload)
    return frames.frame_ticks * len(frames.spans)


def channels(payload: bytes) -> int:
    """1 or 2: how many channels are coded; a decoder gives as many as it was made for."""
    return parse(payload).channels


def voice_flag(payload: bytes) -> bool | None:
    """Whether the encoder's voice activity detector heard speech in any frame.

    Read from the VAD bits of SILK and hybrid frames (4.2.3), which lie in a frame's first byte before
    anything else. None where only CELT is used, which has no such bit; False for an empty (DTX) packet.
    """
    frames = parse(payload)
    coded = [offset for offset, size in frames.spans if size > 1]
    if not coded:
        return False
    if frames.config >= _FIRST_CELT:
        return None
    mask = _vad_mask(frames)
    return any(payload[offset] & mask for offset in coded)


def has_fec(payload: bytes) -> bool:
    """Whether the packet carries a copy (LBRR, 4.2.4) of the one before it."""
    frames = parse(payload)
    offset, size = frames.spans[0]
    if frames.config >= _FIRST_CELT or not size:
        return False
    silk_frames = _silk_frames(frames)
    mask = 0x80 >> silk_frames
    if frames.channels == 2:
        mask |= mask >> (silk_frames + 1)
    return bool(payload[offset] & mask)


def _silk_frames(frames: Frames) -> int:
    """How many 20 ms (or one 10 ms) SILK frames are in one Opus frame, 1..3."""
    return max(1, frames.frame_ticks // 960)


def _vad_mask(frames: Frames) -> int:
    """The VAD bits in a frame's first byte: n, then one LBRR bit, and the same again for the side channel."""
    silk_frames = _silk_frames(frames)
    one = ((1 << silk_frames) - 1) << 1
    if frames.channels == 1:
        return one << (7 - silk_frames)
    return (one << (silk_frames + 1) | one) << (6 - 2 * silk_frames)
