from __future__ import annotations

from typing import Any, get_args

import msgspec
import pytest

from roomtone.media.packet import (
    CODEC_NAMES,
    FLAG_DISCONTINUITY,
    FLAG_ENCRYPTED,
    FLAG_TALKSPURT_END,
    FLAG_TALKSPURT_START,
    Packet,
    PacketError,
)
from roomtone.protocol.messages import (
    CLIENT_MESSAGE_TYPES,
    SERVER_MESSAGE_TYPES,
    ClientMessage,
    CodecName,
    ServerMessage,
    decode_client_message,
    decode_server_message,
    encode,
)
from tests.protocol.vectors import named, payload, vectors

AUDIO = vectors("audio_header.json")
MESSAGES = vectors("messages.json")
FLAGS = {
    "talkspurt_start": FLAG_TALKSPURT_START,
    "talkspurt_end": FLAG_TALKSPURT_END,
    "discontinuity": FLAG_DISCONTINUITY,
    "encrypted": FLAG_ENCRYPTED,
}


@pytest.mark.parametrize("vector", **named(AUDIO["valid"]))
def test_valid_audio_vectors(vector: dict[str, Any]) -> None:
    """Every field comes out as the vector says, and the packet made of the fields has the vector's bytes."""
    data = bytes.fromhex(vector["hex"])
    packet = Packet.decode(data)
    flags = sum(FLAGS[name] for name in vector["flags"])
    assert packet.track == vector["track"]
    assert packet.sequence == vector["sequence"]
    assert packet.timestamp == vector["timestamp"]
    assert packet.codec is CODEC_NAMES[vector["codec"]]
    assert packet.flags == flags
    assert (packet.level, packet.voice) == (vector["level"], vector["voice"])
    assert packet.payload == bytes.fromhex(vector["payload"])
    again = Packet(
        vector["track"],
        vector["sequence"],
        vector["timestamp"],
        packet.payload,
        codec=CODEC_NAMES[vector["codec"]],
        flags=flags,
        level=vector["level"],
        voice=vector["voice"],
    )
    assert again.data == data


@pytest.mark.parametrize("vector", **named(AUDIO["invalid"]))
def test_invalid_audio_vectors(vector: dict[str, Any]) -> None:
    """Each is refused."""
    with pytest.raises(PacketError):
        Packet.decode(bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize("vector", **named(MESSAGES["client"]["valid"]))
def test_valid_client_vectors(vector: dict[str, Any]) -> None:
    """Each parses to its type and survives another round."""
    message = decode_client_message(payload(vector))
    assert message.__struct_config__.tag == vector["type"]
    assert decode_client_message(encode(message)) == message


@pytest.mark.parametrize("vector", **named(MESSAGES["server"]["valid"]))
def test_valid_server_vectors(vector: dict[str, Any]) -> None:
    """Each parses to its type and survives another round."""
    message = decode_server_message(payload(vector))
    assert message.__struct_config__.tag == vector["type"]
    assert decode_server_message(encode(message)) == message


def test_vectors_cover_every_type() -> None:
    """No message type is without a vector."""
    assert {vector["type"] for vector in MESSAGES["client"]["valid"]} == CLIENT_MESSAGE_TYPES
    assert {vector["type"] for vector in MESSAGES["server"]["valid"]} == SERVER_MESSAGE_TYPES


@pytest.mark.parametrize("union", [ClientMessage, ServerMessage])
def test_types_are_distinct(union: Any) -> None:
    """Within one direction no two messages share a `type`, and all are frozen."""
    kinds = get_args(union)
    assert len({kind.__struct_config__.tag for kind in kinds}) == len(kinds)
    assert all(kind.__struct_config__.frozen for kind in kinds)


def test_codec_names_are_those_of_the_header() -> None:
    """The names in control messages and the numbers in audio headers are the same set."""
    assert set(get_args(CodecName)) == set(CODEC_NAMES)


def test_defaults_stay_off_the_wire() -> None:
    """A field at its default is not sent: messages are short and old peers are not bothered."""
    message = decode_client_message(b'{"type":"track_open","command_id":1,"codec":"opus","channels":1}')
    assert encode(message) == b'{"type":"track_open","command_id":1}'
    with pytest.raises(msgspec.ValidationError):
        decode_client_message(b'{"type":"track_open"}')
