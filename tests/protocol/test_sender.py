from __future__ import annotations

import pytest

from roomtone.media.packet import (
    FLAG_DISCONTINUITY,
    FLAG_TALKSPURT_END,
    FLAG_TALKSPURT_START,
    Codec,
)
from roomtone.protocol.sender import TrackSender


@pytest.mark.parametrize("start", [0, 1, 32_766, 65_534, 65_535])
def test_numbers_count_up_and_wrap(start: int) -> None:
    """Sequence numbers count packets, timestamps count ticks, both on their circles."""
    timestamp = 2**32 - 960
    sender = TrackSender(7, Codec.OPUS, sequence=start, timestamp=timestamp)
    packets = [sender.packet(b"x", 960) for _ in range(4)]
    assert [packet.sequence for packet in packets] == [(start + n) % 65_536 for n in range(4)]
    assert [packet.timestamp for packet in packets] == [2**32 - 960, 0, 960, 1_920]
    assert {packet.track for packet in packets} == {7}


def test_talkspurts() -> None:
    """The first packet begins one, `end` ends it, the next after that begins another."""
    sender = TrackSender(1, Codec.OPUS)
    flags = [sender.packet(b"x", 960, end=end).flags for end in (False, False, True, True, False)]
    assert flags == [
        FLAG_TALKSPURT_START,
        0,
        FLAG_TALKSPURT_END,
        FLAG_TALKSPURT_START | FLAG_TALKSPURT_END,
        FLAG_TALKSPURT_START,
    ]


def test_gap() -> None:
    """Silence moves time but not the sequence number, and begins a talkspurt."""
    sender = TrackSender(1, Codec.PCMU, sequence=5, timestamp=100)
    sender.packet(b"x", 960)
    sender.gap(48_000)
    packet = sender.packet(b"x", 960, level=20, voice=True)
    assert (packet.sequence, packet.timestamp, packet.flags) == (6, 49_060, FLAG_TALKSPURT_START)
    assert (packet.codec, packet.level, packet.voice) == (Codec.PCMU, 20, True)


def test_skip() -> None:
    """Frames that were made but not sent use up their numbers and leave a discontinuity, once."""
    sender = TrackSender(1, Codec.OPUS)
    sender.packet(b"x", 960)
    sender.skip(3, 2_880)
    packet = sender.packet(b"x", 960)
    assert (packet.sequence, packet.timestamp, packet.flags) == (4, 3_840, FLAG_DISCONTINUITY)
    assert sender.packet(b"x", 960).flags == 0
