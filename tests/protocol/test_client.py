from __future__ import annotations

from typing import Any

import pytest

from roomtone.media.packet import Packet
from roomtone.protocol.client import MAX_PENDING_COMMANDS, ClientSession
from roomtone.protocol.close_codes import IDLE, PROTOCOL_ERROR
from roomtone.protocol.errors import ProtocolError, TooManyPending
from roomtone.protocol.messages import (
    CommandApplied,
    Error,
    Limits,
    Message,
    Mute,
    ParticipantLeft,
    Ping,
    Pong,
    Resume,
    RoomSnapshot,
    SendMessage,
    SessionStart,
    SessionStarted,
    Speakers,
    TrackClosed,
    TrackInfo,
    TrackOpen,
    TrackOpened,
    encode,
)
from tests.protocol.vectors import named, payload, vectors

MESSAGES = vectors("messages.json")["server"]
LIMITS = Limits(
    max_message_bytes=65_536,
    max_tracks=8,
    max_bitrate_bps=510_000,
    receive_report_interval_ms=500,
    resume_window_ms=30_000,
)


def started(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "participant_id": "pa_1",
        "identity": "ada",
        "resume_token": "rt_1",
        "room": RoomSnapshot(name="lobby", last_event_id=10),
        "limits": LIMITS,
        "server_time_ms": 0.0,
    }
    return encode(SessionStarted(**fields | changes))


def active(now: float = 0.0) -> ClientSession:
    session = ClientSession(now)
    session.start_message("t", "lobby", now=now)
    session.receive_text(started(), now)
    return session


def reconnect(session: ClientSession, now: float = 1.0, **changes: Any) -> None:
    session.lost()
    session.start_message("t", "lobby", now=now)
    session.receive_text(started(**changes), now)


def receive(session: ClientSession, message: Message, now: float = 0.0) -> None:
    session.receive_text(encode(message), now)


def own(track: int) -> TrackInfo:
    return TrackInfo(track=track, participant_id="pa_1", codec="opus")


# --- the beginning


def test_start() -> None:
    """The first message has no resume; with the answer the session is active and knows who it is."""
    session = ClientSession(0.0)
    message = session.start_message("t", "lobby", ["pcmu"], now=0.0, name="Ada", client="test")
    assert message == SessionStart(token="t", room="lobby", codecs=["pcmu"], name="Ada", client="test")
    assert session.state == "starting"
    session.receive_text(started(), 0.0)
    assert session.state == "active"
    assert (session.participant_id, session.resume_token, session.last_event_id) == ("pa_1", "rt_1", 10)


def test_only_session_started_may_come_first() -> None:
    """Another message, or audio, before it is the server's fault."""
    for receive_early in (
        lambda session: receive(session, Speakers(speakers=[])),
        lambda session: session.receive_audio(Packet(1, 1, 1, b"x").data, 0.0),
    ):
        session = ClientSession(0.0)
        session.start_message("t", now=0.0)
        with pytest.raises(ProtocolError, match="starting"):
            receive_early(session)


def test_resume_is_asked_for() -> None:
    """After a lost connection session_start tells the newest token and the newest event seen."""
    session = active()
    receive(session, ParticipantLeft(event_id=17, participant_id="x", identity="x", reason="left"))
    receive(session, ParticipantLeft(event_id=16, participant_id="y", identity="y", reason="left"))
    session.lost()
    assert session.state == "suspended"
    message = session.start_message("fresh", "lobby", now=1.0)
    assert message.resume == Resume(token="rt_1", last_event_id=17)
    session.receive_text(started(resume_token="rt_2", resumed="events"), 1.0)
    assert session.resume_token == "rt_2"
    assert session.last_event_id == 17


def test_a_snapshot_resets_the_event_id() -> None:
    """What follows counts from the snapshot, even in a room that was made anew and counts from 0."""
    session = active()
    reconnect(session, room=RoomSnapshot(name="lobby", last_event_id=3), resumed="new")
    assert session.last_event_id == 3


def test_a_failed_attempt_keeps_the_seat() -> None:
    """A connection that dies before session_started may be followed by another."""
    session = active()
    session.lost()
    session.start_message("t", now=1.0)
    session.lost()
    session.lost()
    assert session.start_message("t", now=2.0).resume is not None


# --- messages


@pytest.mark.parametrize("vector", **named(MESSAGES["valid"]))
def test_valid_vectors(vector: dict[str, Any]) -> None:
    """A session hands out every message."""
    session = active()
    if vector["type"] == "session_started":
        session.lost()
        session.start_message("t", now=0.0)
    message = session.receive_text(payload(vector), 0.0)
    assert message is not None
    assert message.__struct_config__.tag == vector["type"]


@pytest.mark.parametrize("vector", **named(MESSAGES["invalid"]))
def test_invalid_vectors(vector: dict[str, Any]) -> None:
    """Each is the server's fault, but a type that a newer server may send is passed over."""
    session = active()
    if vector["result"] == "ignored":
        assert session.receive_text(payload(vector), 0.0) is None
        return
    with pytest.raises(ProtocolError) as caught:
        session.receive_text(payload(vector), 0.0)
    assert caught.value.close is PROTOCOL_ERROR


# --- commands


def test_commands_are_numbered_and_settled() -> None:
    """Ids count up; an answer settles its command, once."""
    session = active()
    first = session.command(Mute, muted=True)
    second = session.command(SendMessage, data={"a": 1})
    assert (first.command_id, second.command_id) == (1, 2)
    assert session.pending == [1, 2]
    receive(session, Error(code="not_permitted", message="no", command_id=2))
    receive(session, CommandApplied(command_id=1))
    receive(session, CommandApplied(command_id=1))
    receive(session, Error(code="bad_audio", message="no id"))
    outcomes = session.take_outcomes()
    assert [(outcome.command_id, type(outcome.answer)) for outcome in outcomes] == [
        (2, Error),
        (1, CommandApplied),
    ]
    assert outcomes[0].command == second
    assert session.take_outcomes() == []
    assert session.pending == []


def test_track_open_is_settled_by_its_track() -> None:
    """command_applied is not the answer that it waits for; the room's own event may come before."""
    session = active()
    session.command(TrackOpen)
    receive(session, CommandApplied(command_id=1))
    receive(session, TrackOpened(event_id=11, track=own(5)))
    assert session.take_outcomes() == []
    answer = TrackOpened(event_id=11, track=own(5), command_id=1)
    receive(session, answer)
    [outcome] = session.take_outcomes()
    assert outcome.answer == answer


def test_bad_fields_are_the_callers_fault() -> None:
    """They are told before anything is sent, and use up no id."""
    session = active()
    with pytest.raises(ValueError, match="playout_interval_ms"):
        session.command(TrackOpen, playout_interval_ms=-1)
    with pytest.raises(ValueError, match="topic"):
        session.command(SendMessage, topic="x" * 257)
    with pytest.raises(TypeError):
        session.command(Mute, mooted=True)
    assert session.pending == []
    assert session.command(Mute, muted=True).command_id == 1


def test_pending_commands_are_bounded() -> None:
    """A server that never answers does not fill the memory."""
    session = active()
    for _ in range(MAX_PENDING_COMMANDS):
        session.command(Mute, muted=True)
    with pytest.raises(TooManyPending):
        session.command(Mute, muted=True)


def test_commands_before_the_first_session_wait_for_it() -> None:
    """They are sent with session_started, once."""
    session = ClientSession(0.0)
    command = session.command(Mute, muted=True)
    session.start_message("t", now=0.0)
    session.receive_text(started(), 0.0)
    assert session.to_resend() == [command]
    assert session.to_resend() == []


@pytest.mark.parametrize("resumed", ["events", "snapshot"])
def test_resume_settles_and_resends(resumed: str) -> None:
    """Refused ones fail, applied ones succeed, the rest goes out again with the same ids."""
    session = active()
    for _ in range(3):
        session.command(Mute, muted=True)
    session.lost()
    waiting = session.command(Mute, muted=False)
    session.start_message("t", now=1.0)
    refused = Error(code="not_permitted", message="no", command_id=1)
    session.receive_text(started(resumed=resumed, last_command_id=2, refused=[refused]), 1.0)
    assert [(outcome.command_id, outcome.answer) for outcome in session.take_outcomes()] == [
        (1, refused),
        (2, CommandApplied(command_id=2)),
    ]
    assert session.to_resend() == [Mute(command_id=3, muted=True), waiting]
    assert session.pending == [3, 4]


def test_a_new_seat_loses_the_commands() -> None:
    """Nobody knows what became of them; ids go on."""
    session = active()
    session.command(Mute, muted=True)
    reconnect(session, resumed="new")
    [outcome] = session.take_outcomes()
    assert (outcome.command_id, outcome.answer) == (1, None)
    assert session.to_resend() == []
    assert session.command(Mute, muted=True).command_id == 2


def test_lost_track_opened_comes_with_the_events() -> None:
    """The replayed event names no command: it answers the oldest track_open that was applied."""
    session = active()
    session.command(TrackOpen, name="a")
    session.command(TrackOpen, name="b")
    session.command(TrackOpen, name="c")
    reconnect(session, resumed="events", last_command_id=2)
    assert [message.command_id for message in session.to_resend() if isinstance(message, TrackOpen)] == [3]
    receive(session, TrackOpened(event_id=11, track=TrackInfo(track=9, participant_id="pa_2", codec="opus")))
    receive(session, TrackOpened(event_id=12, track=own(5)))
    receive(session, TrackOpened(event_id=13, track=own(6)))
    receive(session, TrackOpened(event_id=14, track=own(7), command_id=3))
    answers = {
        outcome.command_id: outcome.answer.track.track
        for outcome in session.take_outcomes()
        if isinstance(outcome.answer, TrackOpened)
    }
    assert answers == {1: 5, 2: 6, 3: 7}


def test_track_event_before_the_connection_broke() -> None:
    """The event came, the answer did not: the track is matched at once on resume."""
    session = active()
    session.command(TrackOpen)
    receive(session, TrackOpened(event_id=11, track=own(5)))
    reconnect(session, resumed="events", last_command_id=1)
    [outcome] = session.take_outcomes()
    assert outcome.answer == TrackOpened(event_id=11, track=own(5), command_id=1)


def test_lost_track_opened_stands_in_the_snapshot() -> None:
    """Own tracks in it that no command claimed answer the track_opens in order; the rest is lost."""
    session = active()
    session.command(TrackOpen)
    receive(session, TrackOpened(event_id=11, track=own(4), command_id=1))
    session.take_outcomes()
    for _ in range(3):
        session.command(TrackOpen)
    tracks = [own(4), TrackInfo(track=8, participant_id="pa_2", codec="opus"), own(6), own(5)]
    room = RoomSnapshot(name="lobby", last_event_id=20, tracks=tracks)
    reconnect(session, resumed="snapshot", last_command_id=4, room=room)
    outcomes = session.take_outcomes()
    assert [outcome.command_id for outcome in outcomes] == [2, 3, 4]
    answers = [outcome.answer for outcome in outcomes]
    assert [answer and isinstance(answer, TrackOpened) and answer.track.track for answer in answers] == [
        6,
        5,
        None,
    ]


def test_a_closed_track_answers_nothing() -> None:
    """An own track that was closed again is not matched with a later track_open."""
    session = active()
    receive(session, TrackOpened(event_id=11, track=own(5)))
    receive(session, TrackClosed(event_id=12, track=5, participant_id="pa_1"))
    session.command(TrackOpen)
    reconnect(session, resumed="events", last_command_id=1)
    assert session.take_outcomes() == []
    assert session.pending == [1]


# --- audio and reports


def test_reports() -> None:
    """Frames are counted from the beginning of the connection and told every interval."""
    session = active()
    for sequence in (65_535, 0):
        assert session.receive_audio(Packet(2, sequence, 0, b"x").data, 0.1).sequence == sequence
    assert session.due_report(0.4) is None
    report = session.due_report(0.5)
    assert report is not None
    assert (report.received, report.sequences) == (2, {2: 0})
    session.receive_audio(Packet(2, 1, 0, b"x").data, 0.6)
    session.lost()
    assert session.due_report(2.0) is None
    session.start_message("t", now=3.0)
    session.receive_text(started(resumed="events"), 3.0)
    session.receive_audio(Packet(2, 9, 0, b"x").data, 3.0)
    report = session.due_report(3.5)
    assert report is not None
    assert (report.received, report.sequences) == (1, {2: 9})


def test_bad_audio_is_the_servers_fault() -> None:
    """A server sends audio frames or nothing."""
    with pytest.raises(ProtocolError):
        active().receive_audio(b"garbage", 0.0)


# --- life


def test_pings_and_the_clock() -> None:
    """A ping at once, then every 10 s; its pong tells the server's clock."""
    session = active(100.0)
    assert session.rtt_ms is None
    assert session.offset_ms == 0.0
    assert session.next_deadline() == 100.0
    assert session.tick(100.0) == [Ping(sent_at_ms=100_000.0)]
    assert session.tick(100.0) == []
    assert session.next_deadline() == 110.0
    receive(session, Pong(sent_at_ms=100_000.0, server_time_ms=5_010.0), 100.02)
    assert session.rtt_ms == pytest.approx(20)
    assert session.offset_ms == pytest.approx(5_000 - 100_000)
    assert session.tick(110.0) == [Ping(sent_at_ms=110_000.0)]


def test_deadlines() -> None:
    """A report, a ping or the end, whichever comes first; none without a connection."""
    session = ClientSession(0.0)
    assert session.next_deadline() is None
    session.start_message("t", now=1.0)
    assert session.next_deadline() == 26.0
    session.receive_text(started(), 2.0)
    session.tick(2.0)
    assert session.next_deadline() == 12.0
    session.receive_audio(Packet(2, 1, 0, b"x").data, 3.0)
    assert session.next_deadline() == 2.5
    session.lost()
    assert session.next_deadline() is None
    assert session.tick(100.0) == []


@pytest.mark.parametrize("answered", [True, False])
def test_dead_connection(answered: bool) -> None:
    """25 s without a byte, before session_started or after, and the connection is given up."""
    session = ClientSession(0.0)
    session.start_message("t", now=0.0)
    if answered:
        session.receive_text(started(), 0.0)
    session.heard(10.0)
    session.tick(34.9)
    with pytest.raises(ProtocolError) as caught:
        session.tick(35.0)
    assert caught.value.close is IDLE


def test_close() -> None:
    """Closing settles what was pending, and may be told again."""
    session = active()
    session.command(Mute, muted=True)
    session.close()
    session.close()
    session.lost()
    assert session.state == "closed"
    [outcome] = session.take_outcomes()
    assert outcome.answer is None
    with pytest.raises(AssertionError):
        session.command(Mute, muted=True)
    with pytest.raises(AssertionError):
        session.start_message("t", now=0.0)
