"""docs/protocol.md says what the code does: its tables, diagrams and examples are read here."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import jsonschema
import msgspec
import pytest

from roomtone.media import packet as packet_module
from roomtone.media.packet import CODEC_NAMES, MAX_PAYLOAD_BYTES, Packet
from roomtone.protocol import messages
from roomtone.protocol.client import MAX_PENDING_COMMANDS, ClientSession
from roomtone.protocol.close_codes import CLOSE_CODES
from roomtone.protocol.errors import ERROR_CODES
from roomtone.protocol.frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameParser,
    encode_frame,
    parse_close,
)
from roomtone.protocol.handshake import check_upgrade
from roomtone.protocol.messages import ClientMessage, ServerMessage, encode
from roomtone.protocol.reports import MAX_REPORTED_TRACKS
from roomtone.protocol.schema import message_schema
from roomtone.protocol.server import ServerSession
from roomtone.protocol.transitions import CLIENT_TRANSITIONS, SERVER_TRANSITIONS, mermaid
from tests.protocol.vectors import ROOT

PAGE = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
CLIENT_PART = PAGE.split("### Client to server\n")[1].split("### Server to client\n")[0]
SERVER_PART = PAGE.split("### Server to client\n")[1].split("### Error codes\n")[0]
SIDES = [(CLIENT_PART, ClientMessage, "ClientMessage"), (SERVER_PART, ServerMessage, "ServerMessage")]


def table(header: str) -> list[list[str]]:
    """The rows of the table below `header`; a cell that is all code is given without its backticks."""
    lines = PAGE.split(header + "\n")[1].split("\n")[1:]
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([re.sub(r"^`([^`]*)`$", r"\1", cell.strip()) for cell in line.strip("|").split("|")])
    return rows


def blocks(text: str, language: str) -> list[str]:
    """The contents of the fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)\n```", text, re.DOTALL)


def sections(text: str) -> dict[str, str]:
    """The part below each `#### `name`` heading."""
    parts = re.split(r"^#### `(\w+)`\n", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_close_codes() -> None:
    """The table is CLOSE_CODES."""
    rows = table("| code | name | reconnect? | meaning |")
    assert rows == [[str(c.code), c.name, c.reconnect, c.meaning] for c in CLOSE_CODES.values()]


def test_error_codes() -> None:
    """The table is ERROR_CODES."""
    assert table("| code | meaning |") == [[code, meaning] for code, meaning in ERROR_CODES.items()]


def test_codecs() -> None:
    """The table is CODEC_NAMES."""
    rows = table("| codec | name | payload |")
    assert [(row[0], row[1]) for row in rows] == [(str(int(codec)), name) for name, codec in CODEC_NAMES.items()]


@pytest.mark.parametrize("transitions", [SERVER_TRANSITIONS, CLIENT_TRANSITIONS])
def test_diagrams(transitions: Any) -> None:
    """The page carries the diagrams that the tables generate."""
    assert mermaid(transitions) in blocks(PAGE, "mermaid")


def test_header_diagram() -> None:
    """The bit diagram is the one in the code."""
    assert packet_module.__doc__ is not None
    rows = [line.strip() for line in packet_module.__doc__.split("\n") if line.strip().startswith("|")]
    diagram = [line.strip() for line in blocks(PAGE, "text")[0].split("\n") if line.strip().startswith("|")]
    assert rows[:3] == diagram[:3]


LIMITS = {field.name: field.default for field in msgspec.structs.fields(messages.Limits)}


def test_limits() -> None:
    """The table tells the code's own numbers."""
    rows = dict(table("| limit | value |"))
    assert rows == {
        "`session_start` after the handshake": "5 s",
        "no byte from the peer, then closed as `idle` (a client gives up as well)": "25 s",
        "WebSocket ping by the server; JSON `ping` by a client": "10 s",
        "a client's message, fragments joined": f"{messages.MAX_MESSAGE_BYTES:,} bytes",
        "a server's message": f"{messages.MAX_SERVER_MESSAGE_BYTES:,} bytes",
        "audio payload": f"{MAX_PAYLOAD_BYTES:,} bytes",
        "control messages": (
            f"{LIMITS['max_control_messages_per_s']} a second, {2 * LIMITS['max_control_messages_per_s']} at once "
            "(`limits.max_control_messages_per_s`, and twice that)"
        ),
        "control messages, in bytes": "262,144 a second, twice that at once",
        "frames of any kind, pings included": (
            "400 a second for each track that one may have, and the control messages"
        ),
        "bad audio frames": "20 within 10 s",
        "`data` of a message, as JSON": (f"{messages.MAX_DATA_BYTES:,} bytes, {messages.MAX_DATA_DEPTH} levels deep"),
        "unanswered commands": f"{MAX_PENDING_COMMANDS}",
        "tracks in one `receive_report` or `subscribe`": f"{MAX_REPORTED_TRACKS}",
        "names, topics, identities": "256 characters",
        "metadata": "4,096 characters",
        "attributes": "32 of 256 : 1,024 characters",
        "token": "8,192 characters",
    }


@pytest.mark.parametrize(("part", "union", "name"), SIDES)
def test_every_message_is_described(part: str, union: Any, name: str) -> None:
    """Each type has a section whose table has a row for each field, with its default."""
    described = sections(part)
    kinds = {kind.__struct_config__.tag: kind for kind in get_args(union)}
    assert set(described) == set(kinds)
    for tag, kind in kinds.items():
        text = described[tag].split("\n\nA *")[0]
        rows = {row[0]: row[2] for row in re.findall(r"^\| `(\w+)` \| ([^|]*) \| `?([^|]*?)`? \|", text, re.M)}
        fields = msgspec.structs.fields(kind)
        assert set(rows) == {field.encode_name for field in fields}, tag
        for field in fields:
            assert (rows[field.encode_name] == "required") is field.required, (tag, field.encode_name)


@pytest.mark.parametrize(("part", "union", "name"), SIDES)
def test_every_example_is_valid(part: str, union: Any, name: str) -> None:
    """Each type has an example; the code parses it and it fits the JSON Schema."""
    schema = message_schema()
    validator = jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": schema["$defs"]})
    decode = messages.decode_client_message if union is ClientMessage else messages.decode_server_message
    for tag, text in sections(part).items():
        [example] = blocks(text, "json")
        assert decode(example).__struct_config__.tag == tag
        validator.validate(json.loads(example))


def test_handshake_example() -> None:
    """The request of section 1 is answered by the response of section 1."""
    request, response = blocks(PAGE, "http")[:2]
    lines = request.split("\n")
    assert lines[0] == f"GET {messages.PATH} HTTP/1.1"
    upgrade = check_upgrade("GET", dict(line.split(": ", 1) for line in lines[1:]))
    assert upgrade.response.decode() == response.replace("\n", "\r\n") + "\r\n\r\n"


def frames() -> list[tuple[str, bytes]]:
    """(who sends it, the bytes) of each frame in section 11."""
    result = []
    for block in blocks(PAGE, "hexdump"):
        who, *rows = block.split("\n")
        data = b""
        for row in rows:
            offset, text, shown = row[:4], row[6:53], row[55:]
            assert int(offset, 16) == len(data)
            piece = bytes.fromhex(text)
            assert shown == "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
            data += piece
        result.append((who, data))
    return result


def test_session_example() -> None:
    """The session of section 11: both sides take every byte, and would write the same ones."""
    client, server = ClientSession(0.0), ServerSession(0.0)
    at_client = FrameParser(masked=False, max_message_bytes=messages.MAX_SERVER_MESSAGE_BYTES)
    at_server = FrameParser(masked=True, max_message_bytes=messages.MAX_MESSAGE_BYTES)
    start = client.start_message("t0ken", "lobby", now=0.0)
    story = []
    for who, data in frames():
        [(opcode, payload)] = (at_server if who == "client" else at_client).feed(data)
        mask_at = 2 if len(payload) < 126 else 4
        mask = data[mask_at : mask_at + 4] if who == "client" else None
        told: Any = parse_close(payload) if opcode == CLOSE else opcode
        if opcode == BINARY:
            told = (server if who == "client" else client).receive_audio(payload, 0.0)
            assert isinstance(told, Packet)
            payload = told.data
        elif opcode == TEXT:
            told = (server if who == "client" else client).receive_text(payload, 0.0)
            payload = encode(told)
        if isinstance(told, messages.SessionStart):
            assert told == start
            server.started(0.0)
        assert encode_frame(opcode, payload, mask) == data
        story.append((who, told))
    kinds = [(who, told if isinstance(told, int | tuple) else type(told).__name__) for who, told in story]
    assert kinds == [
        ("client", "SessionStart"),
        ("server", "SessionStarted"),
        ("client", "TrackOpen"),
        ("server", "TrackOpened"),
        ("client", "Packet"),
        ("client", "Packet"),
        ("server", "Packet"),
        ("server", "Packet"),
        ("client", "ReceiveReport"),
        ("server", PING),
        ("client", PONG),
        ("client", "Moderate"),
        ("server", "Error"),
        ("server", "TrackFlushed"),
        ("client", "Leave"),
        ("server", (1000, "normal")),
        ("client", (1000, "")),
    ]
    first, second = [told for who, told in story if who == "client" and isinstance(told, Packet)]
    assert (first.track, first.sequence, first.timestamp, first.level, first.voice) == (
        5,
        40_211,
        960_000,
        31,
        True,
    )
    assert (second.sequence, second.timestamp) == (40_212, 960_960)
    report = client.due_report(1.0)
    assert report in [told for _, told in story]
