"""Any bytes either parse or end as one of the two faults of a peer, never as anything else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fuzz.fuzz_protocol import drive_client, drive_server
from roomtone.media.packet import Packet, PacketError
from roomtone.protocol.frames import BINARY, TEXT, encode_frame
from tests.protocol.vectors import payload, vectors

MASK = b"\x01\x02\x03\x04"
_MESSAGES = vectors("messages.json")
_SEEDS = {
    side: [payload(vector) for vector in _MESSAGES[side]["valid"] + _MESSAGES[side]["invalid"]]
    for side in ("client", "server")
}
_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def mutated(draw: st.DrawFn, side: str) -> bytes:
    """A vector with a few bytes changed, removed or doubled."""
    data = bytearray(draw(st.sampled_from(_SEEDS[side])))
    for _ in range(draw(st.integers(0, 3))):
        if data:
            at = draw(st.integers(0, min(len(data), 400) - 1))
            data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


@given(st.binary(max_size=300))
def test_any_bytes_at_the_server(data: bytes) -> None:
    """Raw bytes as the first byte of fuzz_protocol wants them: parser, session and audio at once."""
    drive_server(data)


@given(st.binary(max_size=300))
def test_any_bytes_at_the_client(data: bytes) -> None:
    """The same at the client's end."""
    drive_client(data)


@given(st.lists(mutated("client") | st.binary(max_size=64), max_size=5), st.sampled_from([TEXT, BINARY]))
def test_framed_messages_at_the_server(messages: list[bytes], opcode: int) -> None:
    """Almost valid messages in valid frames reach deeper than raw bytes do."""
    drive_server(b"\x07" + b"".join(encode_frame(opcode, message[:60_000], MASK) for message in messages))


@given(st.lists(mutated("server") | st.binary(max_size=64), max_size=5), st.sampled_from([TEXT, BINARY]))
def test_framed_messages_at_the_client(messages: list[bytes], opcode: int) -> None:
    """The same at the client's end."""
    drive_client(b"\x07" + b"".join(encode_frame(opcode, message[:60_000]) for message in messages))


@given(st.binary(max_size=64))
def test_any_bytes_as_audio(data: bytes) -> None:
    """Packet.decode raises PacketError or gives a packet that encodes to the same bytes."""
    try:
        packet = Packet.decode(data)
    except PacketError:
        return
    assert packet.data == data
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
    assert again == packet
    assert Packet.decode(packet.discontinuous.data).payload == packet.payload


@given(st.dictionaries(st.sampled_from(["type", "command_id", "track", "muted", "data", "x"]), _JSON))
def test_any_json_object(fields: dict[str, Any]) -> None:
    """Values of any type in the places of ours."""
    drive_server(b"\x40" + encode_frame(TEXT, json.dumps(fields).encode(), MASK))
