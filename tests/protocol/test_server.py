from __future__ import annotations

from typing import Any

import pytest

from roomtone.media.packet import Packet
from roomtone.protocol.close_codes import IDLE, PROTOCOL_ERROR, RATE_LIMITED, START_TIMEOUT
from roomtone.protocol.errors import CommandError, ProtocolError
from roomtone.protocol.messages import (
    CommandApplied,
    Error,
    Leave,
    Mute,
    Ping,
    SendMessage,
    SessionStart,
    encode,
)
from roomtone.protocol.server import MAX_REFUSALS, ServerSession
from tests.protocol.vectors import named, payload, vectors

MESSAGES = vectors("messages.json")["client"]
START = b'{"type":"session_start","token":"t","room":"lobby"}'
AUDIO = Packet(5, 1, 960, b"abc").data


def active(now: float = 0.0, **settings: Any) -> ServerSession:
    session = ServerSession(now, **settings)
    session.receive_text(START, now)
    session.started(now)
    return session


def mute(command_id: int) -> bytes:
    return encode(Mute(command_id=command_id, muted=True))


# --- the beginning


def test_start() -> None:
    """session_start comes out as a message and the session goes on from starting over checking to active."""
    session = ServerSession(0.0)
    assert session.state == "starting"
    message = session.receive_text(START, 1.0)
    assert message == SessionStart(token="t", room="lobby")
    assert session.state == "checking"
    session.started(1.0)
    assert session.state == "active"


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":"leave"}',
        b"hello",
        b"[]",
        b'{"type":"session_start","room":5}',
        b'{"type":"dance"}',
        b"\xff",
    ],
)
def test_first_message_must_be_a_session_start(data: bytes) -> None:
    """Anything else, a faulty session_start too, ends the session."""
    session = ServerSession(0.0)
    with pytest.raises(ProtocolError) as caught:
        session.receive_text(data, 0.0)
    assert caught.value.close is PROTOCOL_ERROR


def test_faulty_start_names_the_field() -> None:
    """The reason helps the one who writes a client."""
    with pytest.raises(ProtocolError, match=r"room"):
        ServerSession(0.0).receive_text(b'{"type":"session_start","room":5}', 0.0)


def test_nothing_between_start_and_its_answer() -> None:
    """Until session_started was sent the peer has to wait."""
    for receive in (
        lambda session: session.receive_text(START, 0.0),
        lambda session: session.receive_text(b'{"type":"leave"}', 0.0),
        lambda session: session.receive_audio(AUDIO, 0.0),
    ):
        session = ServerSession(0.0)
        session.receive_text(START, 0.0)
        with pytest.raises(ProtocolError, match="checking"):
            receive(session)


def test_audio_before_the_start() -> None:
    """It ends the session."""
    with pytest.raises(ProtocolError, match="starting"):
        ServerSession(0.0).receive_audio(AUDIO, 0.0)


def test_start_timeout() -> None:
    """session_start must come within 5 s, whatever else came."""
    session = ServerSession(100.0)
    assert session.next_deadline() == 105.0
    session.heard(104.0)
    assert session.tick(104.9) == []
    with pytest.raises(ProtocolError) as caught:
        session.tick(105.0)
    assert caught.value.close is START_TIMEOUT


# --- messages


@pytest.mark.parametrize("vector", **named([v for v in MESSAGES["valid"] if v["type"] != "session_start"]))
def test_valid_vectors(vector: dict[str, Any]) -> None:
    """An active session hands out every message."""
    message = active().receive_text(payload(vector), 1.0)
    assert message is not None
    assert message.__struct_config__.tag == vector["type"]


@pytest.mark.parametrize("vector", **named(MESSAGES["invalid"]))
def test_invalid_vectors(vector: dict[str, Any]) -> None:
    """Each ends the session, or is answered with its code, its command's id and the field's name."""
    session = active()
    if vector["result"] == "protocol_error":
        with pytest.raises(ProtocolError) as ended:
            session.receive_text(payload(vector), 1.0)
        assert ended.value.close is PROTOCOL_ERROR
        return
    with pytest.raises(CommandError) as caught:
        session.receive_text(payload(vector), 1.0)
    assert caught.value.code == vector["result"]
    assert caught.value.command_id == vector["command_id"]
    assert vector.get("field", "") in str(caught.value)
    assert session.state == "active"


def test_rate_limit() -> None:
    """Twice the rate at once, then the rate; over it the session ends."""
    session = active(max_messages_per_s=10)
    ping = encode(Ping(sent_at_ms=1))
    for _ in range(20):
        assert session.receive_text(ping, 0.0) is not None
    assert session.receive_text(ping, 0.1) is not None
    with pytest.raises(ProtocolError) as caught:
        session.receive_text(ping, 0.1)
    assert caught.value.close is RATE_LIMITED


def test_data_at_its_bounds() -> None:
    """16,384 bytes as JSON and 64 levels pass."""
    session = active()
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    for number, data in enumerate(["x" * 16_382, deep, {"a": {"b": [1, None]}}, None], start=1):
        sent = SendMessage(command_id=number, data=data)
        assert session.receive_text(encode(sent), 0.0) == sent


# --- commands


def test_a_command_is_handed_out_once() -> None:
    """What was applied comes out as None, is counted, and is answered as before."""
    session = active()
    assert session.receive_text(mute(1), 0.0) == Mute(command_id=1, muted=True)
    session.applied(1)
    assert session.last_command_id == 1
    assert session.receive_text(mute(1), 0.0) is None
    assert (session.duplicates, session.last_duplicate) == (1, 1)
    assert session.answer_to(1) == CommandApplied(command_id=1)
    assert session.receive_text(mute(2), 0.0) is not None


def test_a_command_that_was_not_applied_comes_again() -> None:
    """Handing out is not applying."""
    session = active()
    session.receive_text(mute(1), 0.0)
    assert session.receive_text(mute(1), 0.0) is not None
    assert session.duplicates == 0


def test_refused_commands_are_remembered() -> None:
    """A failed command is not tried again; its error is the answer to its duplicate and told on resume."""
    session = active()
    session.receive_text(mute(1), 0.0)
    error = Error(code="not_permitted", message="no", command_id=1)
    session.refused(error)
    session.refused(Error(code="bad_audio", message="audio has no command id"))
    assert session.last_command_id == 1
    assert session.receive_text(mute(1), 0.0) is None
    assert session.answer_to(1) == error
    assert session.refusals == [error]


def test_memory_for_refusals_is_bounded() -> None:
    """The newest are kept."""
    session = active()
    for number in range(1, MAX_REFUSALS + 11):
        session.refused(Error(code="invalid", message="no", command_id=number))
    assert [error.command_id for error in session.refusals] == list(range(11, MAX_REFUSALS + 11))


def test_last_command_id_never_goes_back() -> None:
    """Whatever order the caller applies them in."""
    session = active()
    session.applied(5)
    session.applied(3)
    assert session.last_command_id == 5


# --- audio


def test_audio() -> None:
    """A binary message comes out as a packet of the same bytes."""
    assert active().receive_audio(AUDIO, 0.0).data == AUDIO


def test_bad_audio_strikes() -> None:
    """Bad frames are answered, the twentieth ends the session."""
    session = active()
    for _ in range(19):
        with pytest.raises(CommandError) as caught:
            session.receive_audio(b"garbage", 0.0)
        assert caught.value.code == "bad_audio"
    with pytest.raises(ProtocolError, match="20 bad audio frames"):
        session.receive_audio(b"garbage", 0.0)


def test_strikes_are_forgiven() -> None:
    """A bad frame now and then, over hours, ends nothing; nor do strikes outlive a connection."""
    session = active(max_strikes=2)
    for step in range(1, 100):
        session.strike("not yours")
        session.heard(step * 10.0)
        assert session.tick(step * 10.0) == [("ping",)]
    session.strike("not yours")
    session.suspend(1_000.0)
    session.resume(1_001.0)
    session.strike("not yours")
    with pytest.raises(ProtocolError):
        session.strike("not yours")


# --- life


def test_pings() -> None:
    """One every 10 s; a caller that slept gets one, not many."""
    session = active(100.0)
    assert session.next_deadline() == 110.0
    assert session.tick(109.9) == []
    session.heard(110.0)
    assert session.tick(110.0) == [("ping",)]
    assert session.tick(110.0) == []
    assert session.next_deadline() == 120.0
    session.heard(150.0)
    assert session.tick(150.0) == [("ping",)]
    assert session.next_deadline() == 160.0


@pytest.mark.parametrize("receive", ["heard", "text", "audio"])
def test_idle(receive: str) -> None:
    """25 s without a byte end the session; a byte of any kind begins the wait again."""
    session = active()
    if receive == "heard":
        session.heard(20.0)
    elif receive == "text":
        session.receive_text(encode(Ping(sent_at_ms=1)), 20.0)
    else:
        session.receive_audio(AUDIO, 20.0)
    session.tick(44.9)
    session.tick(44.95)
    assert session.next_deadline() == 45.0
    with pytest.raises(ProtocolError) as caught:
        session.tick(45.0)
    assert caught.value.close is IDLE


def test_idle_while_checking() -> None:
    """A slow check of the token is not the peer's fault before 25 s, and no ping goes out."""
    session = ServerSession(0.0)
    session.receive_text(START, 4.0)
    assert session.tick(20.0) == []
    assert session.next_deadline() == 29.0
    with pytest.raises(ProtocolError):
        session.tick(29.0)


def test_suspend_and_resume() -> None:
    """A suspended session waits without a deadline and goes on with what it knew."""
    session = active()
    session.applied(3)
    session.suspend(50.0)
    assert session.state == "suspended"
    assert session.next_deadline() is None
    assert session.tick(1_000.0) == []
    with pytest.raises(ProtocolError, match="suspended"):
        session.receive_audio(AUDIO, 1_000.0)
    session.resume(1_000.0)
    assert session.next_deadline() == 1_010.0
    assert session.receive_text(mute(3), 1_000.0) is None
    assert session.receive_text(mute(4), 1_000.0) is not None


def test_resume_before_the_old_connection_died() -> None:
    """The client may notice first."""
    session = active()
    session.resume(20.0)
    assert session.state == "active"
    assert session.next_deadline() == 30.0


def test_close() -> None:
    """Closing twice is fine, receiving afterwards is not, nor is resuming."""
    session = active()
    assert session.receive_text(b'{"type":"leave"}', 0.0) == Leave()
    session.close()
    session.close()
    assert session.state == "closed"
    assert session.next_deadline() is None
    assert session.tick(1_000.0) == []
    with pytest.raises(ProtocolError):
        session.receive_text(b'{"type":"leave"}', 0.0)
    with pytest.raises(AssertionError):
        session.resume(1.0)
