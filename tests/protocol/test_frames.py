from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.protocol.close_codes import MESSAGE_TOO_BIG, WEBSOCKET_ERROR
from roomtone.protocol.errors import ProtocolError
from roomtone.protocol.frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    FrameParser,
    apply_mask,
    encode_close,
    encode_frame,
    parse_close,
    text_frame,
)
from tests.protocol.vectors import named, vectors

VECTORS = vectors("websocket_frames.json")
MASK = bytes.fromhex("37fa213d")


def parser(*, masked: bool = True, limit: int = 65_536) -> FrameParser:
    return FrameParser(masked=masked, max_message_bytes=limit)


def expected(vector: dict[str, Any]) -> list[tuple[int, bytes]]:
    return [(opcode, bytes.fromhex(payload)) for opcode, payload in vector["messages"]]


@pytest.mark.parametrize("vector", **named(VECTORS["valid"]))
@pytest.mark.parametrize("step", [1, 2, 7, 1 << 20])
def test_valid_vectors(vector: dict[str, Any], step: int) -> None:
    """Every valid vector gives its messages, however the bytes are cut."""
    subject = parser(masked=vector["masked"], limit=VECTORS["max_message_bytes"])
    data = bytes.fromhex(vector["hex"])
    messages = []
    for position in range(0, len(data), step):
        messages += subject.feed(data[position : position + step])
    assert messages == expected(vector)
    assert subject.error is None


@pytest.mark.parametrize("vector", **named(VECTORS["invalid"]))
@pytest.mark.parametrize("step", [1, 3, 1 << 20])
def test_invalid_vectors(vector: dict[str, Any], step: int) -> None:
    """Every invalid vector ends with its close code, after the messages before the error."""
    subject = parser(masked=vector["masked"], limit=VECTORS["max_message_bytes"])
    data = bytes.fromhex(vector["hex"])
    messages = []
    for position in range(0, len(data), step):
        try:
            messages += subject.feed(data[position : position + step])
        except ProtocolError:
            break
    assert subject.error is not None
    assert subject.error.close.code == vector["close"]
    assert messages == expected(vector)


def test_messages_before_an_error_are_kept() -> None:
    """feed returns what was complete, sets `error`, and raises it from then on."""
    subject = parser()
    assert subject.feed(encode_frame(BINARY, b"a", MASK) + b"\xff\xff") == [(BINARY, b"a")]
    assert subject.error is not None
    assert subject.error.close is WEBSOCKET_ERROR
    for _ in range(2):
        with pytest.raises(ProtocolError):
            subject.feed(encode_frame(BINARY, b"b", MASK))


@pytest.mark.parametrize("size", [65_535, 65_536])
def test_longest_message(size: int) -> None:
    """A message of exactly the limit passes, in its 64-bit form too."""
    content = bytes(index % 251 for index in range(size))
    assert parser().feed(encode_frame(BINARY, content, MASK)) == [(BINARY, content)]


def test_too_big_is_told_by_the_header_alone() -> None:
    """A declared length over the limit is refused before a byte of payload came, and nothing is held."""
    subject = parser(limit=1_000)
    with pytest.raises(ProtocolError) as caught:
        subject.feed(encode_frame(BINARY, bytes(1_001), MASK)[:4])
    assert caught.value.close is MESSAGE_TOO_BIG
    assert subject.buffered_bytes == 0


def test_memory_is_bounded_by_the_limit() -> None:
    """Fragments without an end are cut off at the limit of one message."""
    subject = parser(limit=1_000)
    subject.feed(encode_frame(TEXT, bytes(600), MASK).replace(b"\x81", b"\x01", 1))
    assert subject.buffered_bytes == 600
    fragment = encode_frame(CONTINUATION, bytes(401), MASK)
    with pytest.raises(ProtocolError) as caught:
        subject.feed(fragment)
    assert caught.value.close is MESSAGE_TOO_BIG
    assert subject.buffered_bytes == 0


def test_nothing_after_a_close_frame() -> None:
    """What follows a close frame is ignored, in the same feed and in later ones."""
    subject = parser()
    assert subject.feed(encode_close(1000, "bye", MASK) + b"\xff") == [(CLOSE, b"\x03\xe8bye")]
    assert subject.feed(b"\xff\xff") == []
    assert subject.buffered_bytes == 0


@given(st.binary(max_size=1_200), st.binary(min_size=4, max_size=4))
def test_masking_is_its_own_inverse(payload: bytes, mask: bytes) -> None:
    """apply_mask equals the definition in RFC 6455, 5.3, on both sides of the table's end."""
    masked = apply_mask(payload, mask)
    assert masked == bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    assert apply_mask(masked, mask) == payload


@given(
    st.lists(st.tuples(st.sampled_from([TEXT, BINARY, PING]), st.binary(max_size=125)), max_size=8),
    st.booleans(),
    st.data(),
)
def test_what_is_encoded_is_parsed(messages: list[tuple[int, bytes]], masked: bool, data: st.DataObject) -> None:
    """Frames come out as they went in, whatever pieces the stream arrives in."""
    stream = b"".join(encode_frame(opcode, body, MASK if masked else None) for opcode, body in messages)
    subject = parser(masked=masked)
    received = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        received += subject.feed(stream[:cut])
        stream = stream[cut:]
    assert received == messages


def test_encoding_lengths() -> None:
    """The length stands in its shortest form."""
    assert encode_frame(BINARY, bytes(125))[:2] == b"\x82\x7d"
    assert encode_frame(BINARY, bytes(126))[:4] == b"\x82\x7e\x00\x7e"
    assert encode_frame(BINARY, bytes(65_535))[:4] == b"\x82\x7e\xff\xff"
    assert encode_frame(BINARY, bytes(65_536))[:10] == b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"
    assert text_frame(b"{}") == b"\x81\x02{}"


def test_a_caller_cannot_make_illegal_frames() -> None:
    """Too long control frames and wrong masks are the caller's fault."""
    with pytest.raises(ValueError, match="125"):
        encode_frame(PING, bytes(126))
    with pytest.raises(ValueError, match="mask"):
        encode_frame(BINARY, b"", b"abc")
    for code in (0, 999, 1005, 1006, 1015, 2999, 5000):
        with pytest.raises(ValueError, match="close code"):
            encode_close(code, "")


def test_close_reason_is_cut_between_characters() -> None:
    """A reason that does not fit loses whole characters."""
    [(opcode, payload)] = parser(masked=False).feed(encode_close(4000, "é" * 70))
    assert opcode == CLOSE
    assert parse_close(payload) == (4000, "é" * 61)


def test_parse_close() -> None:
    """An empty close frame has no code; impossible ones are the peer's fault."""
    assert parse_close(b"") == (1005, "")
    assert parse_close(b"\x0f\xa2replaced") == (4002, "replaced")
    for payload in (b"\x03", b"\x03\xed", b"\x00\x00", b"\x03\xe8\xff"):
        with pytest.raises(ProtocolError) as caught:
            parse_close(payload)
        assert caught.value.close is WEBSOCKET_ERROR
