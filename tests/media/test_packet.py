"""The audio header and the ready-made WebSocket frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.media.packet import (
    CODEC_NAMES,
    FLAG_DISCONTINUITY,
    FLAG_ENCRYPTED,
    FLAG_TALKSPURT_END,
    FLAG_TALKSPURT_START,
    HEADER_BYTES,
    MAX_LEVEL,
    MAX_PAYLOAD_BYTES,
    Codec,
    Packet,
    PacketError,
)

# Bytes written by hand from the diagram in docs/protocol.md.
GOLDEN = bytes.fromhex("11059e000102fffe00000960") + b"\xf8\xff\xfe"

packets = st.builds(
    Packet,
    track=st.integers(0, 0xFFFF),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFF_FFFF),
    payload=st.binary(min_size=1, max_size=300),
    codec=st.sampled_from(Codec),
    flags=st.integers(0, 15),
    level=st.integers(0, MAX_LEVEL),
    voice=st.booleans(),
)


def websocket_payload(frame: bytes) -> bytes:
    """What a receiver finds in one final, unmasked binary frame (RFC 6455, 5.2)."""
    assert frame[0] == 0x82
    assert not frame[1] & 0x80
    short = frame[1]
    if short < 126:
        size, start = short, 2
    else:
        assert short == 126
        size, start = int.from_bytes(frame[2:4], "big"), 4
        assert size > 125
    assert len(frame) == start + size
    return frame[start:]


def test_the_header_has_the_documented_bytes() -> None:
    """Every field stands where the diagram says."""
    packet = Packet(
        0x0102,
        0xFFFE,
        2400,
        b"\xf8\xff\xfe",
        flags=FLAG_TALKSPURT_START | FLAG_DISCONTINUITY,
        level=30,
        voice=True,
    )
    assert packet.data == GOLDEN
    read = Packet.decode(GOLDEN)
    assert (read.track, read.sequence, read.timestamp) == (0x0102, 0xFFFE, 2400)
    assert (read.codec, read.flags, read.level, read.voice) == (Codec.OPUS, 5, 30, True)
    assert read.payload == b"\xf8\xff\xfe"


@given(packet=packets)
def test_packets_come_back(packet: Packet) -> None:
    """Decoding what was encoded gives the same packet, with its bytes untouched."""
    read = Packet.decode(packet.data)
    assert read == packet
    assert hash(read) == hash(packet)
    assert repr(read) == repr(packet)
    for name in ("track", "sequence", "timestamp", "codec", "flags", "level", "voice", "payload"):
        assert getattr(read, name) == getattr(packet, name)


@given(data=st.binary(max_size=40))
def test_any_bytes_are_a_packet_or_a_packet_error(data: bytes) -> None:
    """Nothing but PacketError, and what is accepted encodes to the same bytes."""
    try:
        packet = Packet.decode(data)
    except PacketError:
        return
    again = Packet(
        packet.track,
        packet.sequence,
        packet.timestamp,
        packet.payload,
        codec=packet.codec,
        flags=packet.flags,
        level=packet.level,
        voice=packet.voice,
    )
    assert again.data == data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "over 12 bytes"),
        (GOLDEN[:HEADER_BYTES], "over 12 bytes"),
        (b"\x21" + GOLDEN[1:], "version 2, kind 1"),
        (b"\x12" + GOLDEN[1:], "version 1, kind 2"),
        (GOLDEN[:1] + b"\x10" + GOLDEN[2:], "flags 0x10"),
        (GOLDEN[:3] + b"\x06" + GOLDEN[4:], "codec 6"),
        (GOLDEN + bytes(MAX_PAYLOAD_BYTES), f"at most {MAX_PAYLOAD_BYTES}"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, reason: str) -> None:
    """Each refusal names its reason."""
    with pytest.raises(PacketError, match=reason):
        Packet.decode(data)


@pytest.mark.parametrize("size", [1, 113, 114, 1275, MAX_PAYLOAD_BYTES])
def test_the_frame_is_a_websocket_frame_of_the_data(size: int) -> None:
    """Short and extended lengths, on both sides of where they change, made once."""
    packet = Packet(1, 2, 3, bytes(size))
    assert websocket_payload(packet.frame) == packet.data
    assert packet.frame is packet.frame
    assert Packet.decode(packet.data) == packet


@given(packet=packets)
def test_the_discontinuous_twin_differs_in_one_flag(packet: Packet) -> None:
    """The same packet but for its flag, made once, and its own twin."""
    twin = packet.discontinuous
    assert twin.flags == packet.flags | FLAG_DISCONTINUITY
    assert twin.data[2:] == packet.data[2:]
    assert twin.data[0] == packet.data[0]
    assert websocket_payload(twin.frame) == twin.data
    assert packet.discontinuous is twin
    assert twin.discontinuous is twin
    assert (twin is packet) == bool(packet.flags & FLAG_DISCONTINUITY)


def test_packets_of_other_bytes_are_unequal() -> None:
    """Equality is of the bytes, and with packets alone."""
    packet = Packet(1, 2, 3, b"x")
    assert packet != Packet(1, 2, 4, b"x")
    assert packet != packet.data
    assert len({packet, Packet(1, 2, 3, b"x"), Packet(1, 2, 3, b"y")}) == 2


def test_flags_are_single_bits_and_codecs_have_names() -> None:
    """The tables on the wire are complete and free of overlap."""
    flags = (FLAG_TALKSPURT_START, FLAG_TALKSPURT_END, FLAG_DISCONTINUITY, FLAG_ENCRYPTED)
    assert sum(flags) == 15
    assert set(CODEC_NAMES.values()) == set(Codec)
    assert [int(codec) for codec in Codec] == list(range(6))
