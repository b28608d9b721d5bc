"""Drives the protocol's parsers with arbitrary bytes, as a peer could.

`python fuzz/fuzz_protocol.py [CORPUS_DIR] [libFuzzer options]` runs it under atheris, guided by coverage, until
something other than the peer's own faults comes out; `-max_total_time=60` stops after a minute.
tests/protocol/test_fuzz.py drives the same functions with hypothesis.
"""

from __future__ import annotations

import sys
from typing import Any

from roomtone.media.packet import Packet
from roomtone.protocol.client import ClientSession
from roomtone.protocol.errors import CommandError, ProtocolError
from roomtone.protocol.frames import BINARY, CLOSE, TEXT, FrameParser, encode_frame, parse_close
from roomtone.protocol.messages import (
    MAX_MESSAGE_BYTES,
    Limits,
    Mute,
    RoomSnapshot,
    SendMessage,
    SessionStarted,
    TrackOpen,
    decode_client_message,
    encode,
)
from roomtone.protocol.server import ServerSession

_START = b'{"type":"session_start","token":"t","room":"lobby"}'
_STARTED = encode(
    SessionStarted(
        participant_id="pa_1",
        identity="ada",
        resume_token="rt_1",
        room=RoomSnapshot(name="lobby"),
        limits=Limits(
            max_message_bytes=MAX_MESSAGE_BYTES,
            max_tracks=8,
            max_bitrate_bps=64_000,
            receive_report_interval_ms=500,
            resume_window_ms=30_000,
        ),
        server_time_ms=0.0,
    )
)


def _messages(data: bytes, *, masked: bool) -> list[tuple[int, bytes]]:
    """What the parser makes of data[1:]; the first byte says in pieces of how many bytes it arrives."""
    step = (data[0] if data else 0) % 64 + 1
    stream = data[1:]
    if step == 64:
        step = max(1, len(stream))
    parser = FrameParser(masked=masked, max_message_bytes=MAX_MESSAGE_BYTES)
    messages: list[tuple[int, bytes]] = []
    try:
        for position in range(0, len(stream), step):
            messages += parser.feed(stream[position : position + step])
            assert parser.buffered_bytes <= MAX_MESSAGE_BYTES + 14
    except ProtocolError:
        pass
    for opcode, payload in messages:
        [again] = FrameParser(masked=False, max_message_bytes=MAX_MESSAGE_BYTES).feed(encode_frame(opcode, payload))
        assert again == (opcode, payload)
    return messages


def drive_server(data: bytes) -> None:
    """Everything that a client's bytes reach before the room. Half of the inputs begin in an active session."""
    session = ServerSession(0.0)
    if data and data[0] < 0x80:
        session.receive_text(_START, 0.0)
        session.started(0.0)
    now = 0.0
    for opcode, payload in _messages(data, masked=True):
        now += 0.01
        try:
            if opcode == TEXT:
                _check_server_message(session, session.receive_text(payload, now))
            elif opcode == BINARY:
                packet = session.receive_audio(payload, now)
                assert isinstance(packet, Packet)
                assert packet.data == payload
            elif opcode == CLOSE:
                parse_close(payload)
            session.tick(now)
        except CommandError:
            pass
        except ProtocolError:
            session.close()
            return


def _check_server_message(session: ServerSession, message: Any) -> None:
    if message is None:
        return
    # What is forwarded must be encodable, and what is encoded must be what the peer meant.
    assert decode_client_message(encode(message)) == message
    command_id = getattr(message, "command_id", None)
    if command_id is not None:
        session.applied(command_id)
        assert session.answer_to(command_id) is not None
    elif message.__struct_config__.tag == "session_start":
        session.started(0.0)


def drive_client(data: bytes) -> None:
    """Everything that a server's bytes reach in a client."""
    session = ClientSession(0.0)
    session.start_message("t", "lobby", now=0.0)
    if data and data[0] < 0x80:
        session.receive_text(_STARTED, 0.0)
        session.command(TrackOpen)
        session.command(Mute, muted=True)
        session.command(SendMessage, data=1)
    now = 0.0
    for opcode, payload in _messages(data, masked=False):
        now += 0.01
        try:
            if opcode == TEXT:
                message = session.receive_text(payload, now)
                assert message is None or encode(message)
                session.take_outcomes()
                session.to_resend()
            elif opcode == BINARY:
                session.receive_audio(payload, now)
            elif opcode == CLOSE:
                parse_close(payload)
            session.tick(now)
            session.due_report(now)
        except ProtocolError:
            session.lost()
            return


def one_input(data: bytes) -> None:
    """An input of the fuzzer: both ends get it."""
    drive_server(data)
    drive_client(data)


def main() -> None:
    """Run under atheris; without it, say how to get it."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris (or run tests/protocol/test_fuzz.py)")
    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
