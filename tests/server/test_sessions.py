"""Sessions over real sockets: joining, hearing, leaving, coming back."""

from __future__ import annotations

import asyncio

import pytest

import roomtone
from roomtone.media.packet import FLAG_DISCONTINUITY, Packet
from roomtone.server.app import Server
from tests.wire import serving

BOTH_LOOPS = True


async def test_a_frame_goes_from_one_to_the_other() -> None:
    """What one peer publishes, the other receives byte for byte, and the publisher does not."""
    async with serving() as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        assert [one["identity"] for one in bob.started["room"]["participants"]] == ["ada", "bob"]
        track = await ada.open_track(name="microphone")
        opened = await bob.text("track_opened")
        assert opened["track"]["name"] == "microphone"
        for sequence in range(3):
            packet = Packet(track, sequence, sequence * 960, b"frame", level=30, voice=True)
            await ada.publish(packet)
            assert await bob.packet() == packet
        await ada.say("ping", sent_at_ms=1.5)
        assert (await ada.text("pong"))["sent_at_ms"] == 1.5
        assert ada.received == 0


async def test_others_are_told_of_joining_and_leaving() -> None:
    """A goodbye frees the seat at once."""
    async with serving() as network:
        ada, bob = await network.join("ada"), await network.join("bob", name="Bob")
        joined = await ada.text("participant_joined")
        assert joined["participant"]["name"] == "Bob"
        await bob.say("leave")
        assert await bob.closed() == 1000
        left = await ada.text("participant_left")
        assert (left["identity"], left["reason"]) == ("bob", "left")


async def test_a_closed_tab_leaves() -> None:
    """A WebSocket close with 1000 or 1001 is a goodbye too."""
    async with serving() as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        await bob.ws.close(code=1001)
        assert (await ada.text("participant_left"))["reason"] == "left"


async def test_a_cut_connection_keeps_its_seat_and_resumes() -> None:
    """Same ids, the missed events, and the track goes on with a discontinuity."""
    async with serving() as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        track = await bob.open_track()
        opened = await ada.text("track_opened")
        await bob.publish(Packet(track, 0, 0, b"one"))
        assert (await ada.packet()).sequence == 0
        bob.cut()
        assert (await ada.text("participant_updated"))["participant"]["presence"] == "reconnecting"
        await ada.command("message", data={"missed": True})
        await ada.text("command_applied")

        again = await network.connect()
        resume = {"token": bob.started["resume_token"], "last_event_id": opened["event_id"]}
        started = await again.start("", resume=resume)
        assert started["participant_id"] == bob.started["participant_id"]
        assert started["resumed"] == "events"
        assert started["last_command_id"] == 1
        assert (await again.text("message"))["data"] == {"missed": True}
        assert (await again.text("track_opened"))["command_id"] == 1
        assert "presence" not in (await ada.text("participant_updated"))["participant"]  # "joined", the default
        await again.publish(Packet(track, 9, 9 * 960, b"two"))
        heard = await ada.packet()
        assert (heard.sequence, heard.flags) == (9, FLAG_DISCONTINUITY)


async def test_a_seat_is_not_kept_for_ever() -> None:
    """After the grace time the others are told, and the resume token opens nothing."""
    async with serving(reconnect_grace_s=0.2) as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        bob.cut()
        assert (await ada.text("participant_left"))["reason"] == "timed_out"
        again = await network.connect()
        await again.say("session_start", resume={"token": bob.started["resume_token"], "last_event_id": 0})
        assert await again.closed() == 4001


async def test_the_newer_session_of_an_identity_wins() -> None:
    """The older one is told why, and neither its token nor its connection comes back."""
    async with serving() as network:
        first = await network.join("ada")
        second = await network.join("ada")
        assert await first.closed() == 4002
        again = await network.connect()
        await again.say("session_start", resume={"token": first.started["resume_token"], "last_event_id": 0})
        assert await again.closed() == 4001
        await second.say("ping", sent_at_ms=0)
        await second.text("pong")


async def test_commands_are_applied_once() -> None:
    """A command that comes again is answered as before and not carried out again."""
    async with serving() as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        for _ in range(2):
            await ada.say("message", command_id=1, data="once")
            await ada.text("command_applied", command_id=1)
        await ada.say("message", command_id=2, data="twice")
        assert (await bob.text("message"))["data"] == "once"
        assert (await bob.text("message"))["data"] == "twice"


async def test_a_refused_command_names_itself() -> None:
    """The error carries the command's id, a stable code and a sentence; the session goes on."""
    async with serving() as network:
        ada = await network.join("ada")
        command = await ada.command("moderate", action="mute", identity="bob")
        error = await ada.text("error")
        assert (error["code"], error["command_id"]) == ("not_permitted", command)
        command = await ada.command("mute", muted=True, track=99)
        assert (await ada.text("error", command_id=command))["code"] == "unknown_track"
        assert network.server.door.errors_by_code == {"not_permitted": 1, "unknown_track": 1}


async def test_the_publisher_is_told_what_arrived() -> None:
    """The server acknowledges the uplink, so that a publisher can see a stuck one."""
    async with serving() as network:
        ada = await network.join("ada")
        track = await ada.open_track()
        await ada.publish(Packet(track, 7, 0, b"x"))
        report = await ada.text("receive_report")
        assert report["sequences"] == {str(track): 7}


async def test_a_stopping_server_announces_it() -> None:
    """`draining` comes first; who does not leave is closed with 1001."""
    async with serving(drain_timeout_s=0.2, drain_url="wss://other.example") as network:
        ada = await network.join("ada")
        stopping = asyncio.create_task(network.server.stop())
        assert (await ada.text("draining"))["url"] == "wss://other.example"
        assert await ada.closed() == 1001
        await stopping


async def test_a_server_that_does_not_run_says_so() -> None:
    """Before start() and after stop() nobody can join through memory."""
    server = Server(dev=True, port=0)
    assert not server.is_draining
    with pytest.raises(roomtone.ConnectError, match="not running"):
        async with roomtone.connect(server, server.token("ada", room="lobby")):
            pass
    async with server:
        assert not server.is_draining
    assert server.is_draining


async def test_without_a_grace_time_nobody_resumes() -> None:
    """Not even who is faster than the room's next tick."""
    async with serving(reconnect_grace_s=0) as network:
        ada = await network.join("ada")
        for _ in range(5):
            bob = await network.join("bob")
            bob.cut()
            await ada.text("participant_updated")
            again = await network.connect()
            token = network.server.token("bob", room="lobby")
            resume = {"token": bob.started["resume_token"], "last_event_id": 0}
            assert (await again.start(token, resume=resume)).get("resumed", "new") == "new"
            await again.say("leave")
            await again.closed()
