"""Sessions that come back, end and break at awkward moments, over real sockets."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Any

import pytest

from roomtone.media.packet import Codec, Packet
from roomtone.participants.websocket_intake import BURST_S, FRAMES_PER_S_OF_TRACK
from roomtone.protocol.frames import BINARY, CLOSE, PING, TEXT, encode_frame
from roomtone.server.app import Server
from tests.free import everything_fits
from tests.server.raw import Raw
from tests.wire import DEADLINE_S, Network, Peer, eventually, serving

BOTH_LOOPS = True


def _resume(peer: Peer, last_event_id: int) -> dict[str, Any]:
    return {"token": peer.started["resume_token"], "last_event_id": last_event_id}


async def _again(network: Network, peer: Peer, last_event_id: int = 0, token: str = "") -> Peer:
    again = await network.connect()
    await again.start(token, resume=_resume(peer, last_event_id))
    return again


# --- resuming -----------------------------------------------------------------------------------------------


async def test_resuming_while_the_old_connection_is_open() -> None:
    """The new one has the seat; the old one is told that it was replaced, so that it does not come back."""
    async with serving() as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        track = await bob.open_track()
        again = await _again(network, bob, bob.started["room"]["last_event_id"])
        assert await bob.closed() == 4002
        assert again.started["participant_id"] == bob.started["participant_id"]
        await again.publish(Packet(track, 5, 0, b"on the new one"))
        assert (await ada.packet()).sequence == 5
        everything_fits(network.server)


async def test_two_resumes_at_once() -> None:
    """Both are let in one after the other; the seat is one, and the last one has it."""
    async with serving() as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        bob.cut()
        first, second = await asyncio.gather(_again(network, bob), _again(network, bob))
        ends = [asyncio.create_task(first.closed()), asyncio.create_task(second.closed())]
        done, pending = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result() for task in done] == [4002]
        for task in pending:
            task.cancel()
        assert len([view for view in network.server.rooms.get("lobby").participants if view.identity == "bob"]) == 1  # type: ignore[union-attr]
        everything_fits(network.server)
        await ada.say("ping", sent_at_ms=0)
        await ada.text("pong")


@pytest.mark.parametrize("last_event_id", [10**6, 2**53, 10**30])
async def test_an_event_from_the_future_gets_a_snapshot(last_event_id: int) -> None:
    """The client knows nothing that can be continued."""
    async with serving() as network:
        bob = await network.join("bob")
        bob.cut()
        again = await _again(network, bob, last_event_id)
        assert again.started["resumed"] == "snapshot"
        assert [one["identity"] for one in again.started["room"]["participants"]] == ["bob"]


@pytest.mark.parametrize("last_event_id", [-1, 1.5, "1", None])
async def test_an_event_id_that_is_none_is_a_protocol_error(last_event_id: object) -> None:
    """And the seat waits for the next attempt."""
    async with serving() as network:
        bob = await network.join("bob")
        bob.cut()
        again = await network.connect()
        await again.say("session_start", resume={"token": bob.started["resume_token"], "last_event_id": last_event_id})
        assert await again.closed() == 4000
        assert (await _again(network, bob)).started["participant_id"] == bob.started["participant_id"]


async def test_a_guessed_resume_token_opens_nothing() -> None:
    """Neither by itself nor with somebody else's token beside it, which opens its own seat."""
    async with serving() as network:
        await network.join("ada")
        guess = await network.connect()
        await guess.say("session_start", resume={"token": "", "last_event_id": 0})
        assert await guess.closed() == 4001
        eve = await network.connect()
        started = await eve.start(
            network.server.token("eve", room="lobby"), resume={"token": "A" * 32, "last_event_id": 0}
        )
        assert "resumed" not in started  # "new", the default
        assert started["identity"] == "eve"


@pytest.mark.parametrize("how", ["removed", "left", "room deleted"])
async def test_a_seat_that_was_taken_away_does_not_come_back(how: str) -> None:
    """The resume token is worth nothing from then on."""
    async with serving() as network:
        moderator = await network.join("mod", grants={"moderate": True})
        bob = await network.join("bob")
        if how == "removed":
            await moderator.command("moderate", action="remove", identity="bob")
            assert await bob.closed() == 4003
        elif how == "left":
            await bob.say("leave")
            assert await bob.closed() == 1000
        else:
            network.server.rooms.delete("lobby", asyncio.get_running_loop().time())
            assert await bob.closed() == 4008
        again = await network.connect()
        await again.say("session_start", resume=_resume(bob, 0))
        assert await again.closed() == 4001
        everything_fits(network.server)


async def test_a_moderator_who_removes_themselves() -> None:
    """The seat ends in the middle of its own command."""
    async with serving() as network:
        ada = await network.join("ada")
        moderator = await network.join("mod", grants={"moderate": True})
        await moderator.open_track()
        await moderator.command("moderate", action="remove", identity="mod")
        assert await moderator.closed() == 4003
        assert (await ada.text("participant_left"))["reason"] == "removed"


async def test_a_draining_server_resumes_nobody() -> None:
    """It says where the client stands: come back later."""
    async with serving(drain_timeout_s=5) as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        late = await network.connect()
        bob.cut()
        await ada.text("participant_updated")
        stopping = asyncio.create_task(network.server.stop())
        await ada.text("draining")
        await late.say("session_start", resume=_resume(bob, 0))
        assert await late.closed() == 1001
        started = asyncio.get_running_loop().time()
        await ada.say("leave")
        await asyncio.gather(stopping, network.server.stop())
        assert asyncio.get_running_loop().time() - started < 4, "nobody was left to wait for"


async def test_more_missed_than_a_listener_may_be_told_is_a_snapshot() -> None:
    """A replay of megabytes would close the listener again, for ever."""
    async with serving(max_control_messages_per_s=5000, max_control_bytes_per_s=10**9) as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        seen = ada.started["room"]["last_event_id"]
        bob.cut()
        await ada.text("participant_updated")
        for turn in range(40):
            await ada.command("message", data="x" * 10_000, topic=str(turn))
            await ada.text("command_applied")
        again = await _again(network, bob, seen + 2)
        assert again.started["resumed"] == "snapshot"
        assert network.server.door.closed_by_name["too_slow"] == 0
        again.cut()
        participant = next(one for one in network.server.door.participants() if one.seat.identity == "bob")
        await eventually(lambda: participant.connection is None)
        for _ in range(300):
            await ada.command("message", data=1)
            await ada.text("command_applied")
        final = await _again(network, again, again.started["room"]["last_event_id"])
        assert final.started["resumed"] == "snapshot"


async def test_a_room_that_is_longer_than_a_message() -> None:
    """Long metadata of many does not keep a newcomer out: the others are told one by one."""
    async with serving() as network:
        metadata = {"metadata": "\U0001f600" * 4_000}
        peers = [await network.join(f"peer {index}", start=metadata) for index in range(70)]
        track = await peers[0].open_track(name="microphone")
        late = await network.connect(max_msg_size=1 << 20)
        await late.start(network.server.token("late", room="lobby"))
        known = {one["identity"] for one in late.started["room"]["participants"]}
        assert "late" in known
        while len(known) < 71:
            joined = await late.text("participant_joined")
            assert joined["event_id"] == late.started["room"]["last_event_id"]
            known.add(joined["participant"]["identity"])
        opened = await late.text("track_opened")
        assert opened["track"]["track"] == track


async def test_nothing_is_lost_and_nothing_twice_over_random_cuts() -> None:
    """A listener is cut again and again while others talk and write: its view of the room stays whole."""
    rng = random.Random(7)
    async with serving(max_control_messages_per_s=5000, max_control_bytes_per_s=10**9) as network:
        writers = [await network.join(name) for name in ("ada", "bob", "cid")]
        listener = await network.join("eve")
        last_seen = int(listener.started["room"]["last_event_id"])
        told: list[tuple[str, int]] = []
        expected: list[tuple[str, int]] = []
        counts = dict.fromkeys(("ada", "bob", "cid"), 0)

        async def read(peer: Peer, how_many: int) -> None:
            nonlocal last_seen
            for _ in range(how_many):
                message = await peer.next()
                if isinstance(message, dict) and "event_id" in message:
                    assert message["event_id"] > last_seen or message["type"] == "track_opened"
                    last_seen = max(last_seen, message["event_id"])
                    if message["type"] == "message":
                        told.append((message["sender"], message["data"]))

        async def write(count: int) -> None:
            for _ in range(count):
                which = rng.randrange(3)
                name = ("ada", "bob", "cid")[which]
                counts[name] += 1
                expected.append((name, counts[name]))
                await writers[which].command("message", data=counts[name])
                await writers[which].text("command_applied")

        for _ in range(40):
            await write(rng.randrange(6))
            if rng.random() < 0.5:
                await read(listener, rng.randrange(2))
            if rng.random() < 0.8:
                listener.cut()
            await write(rng.randrange(4))
            resumed = await network.connect()
            await resumed.start("", resume={"token": listener.started["resume_token"], "last_event_id": last_seen})
            assert resumed.started["resumed"] == "events"
            # everything up to here was told in the same write as session_started
            while last_seen < resumed.started["room"]["last_event_id"] and len(told) < len(expected):
                await read(resumed, 1)
            listener = resumed
        assert told == expected
        everything_fits(network.server)


async def test_commands_in_flight_are_applied_once_over_a_cut() -> None:
    """What was applied before the cut is not applied again, and the client is told."""
    async with serving() as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        await bob.command("message", data="one")
        await bob.command("mute", muted=True, track=77)
        assert (await ada.text("message"))["data"] == "one"
        await bob.text("error")
        bob.cut()
        again = await _again(network, bob, bob.started["room"]["last_event_id"])
        assert again.started["last_command_id"] == 2
        assert [error["command_id"] for error in again.started["refused"]] == [2]
        for command_id, data in ((1, "one"), (2, "one"), (3, "three")):
            await again.say("message", command_id=command_id, data=data)
        assert (await ada.text("message"))["data"] == "three"


# --- closing ------------------------------------------------------------------------------------------------


async def test_nothing_after_a_leave_is_heard() -> None:
    """Frames in the same segment come too late."""
    async with serving() as network:
        ada = await network.join("ada")
        raw = await Raw.join(network.server, "bob")
        raw.write(
            (TEXT, b'{"type":"leave"}'),
            (TEXT, b'{"type":"message","command_id":1,"data":"from the grave"}'),
            (BINARY, Packet(0, 0, 0, b"x").data),
            (PING, b"?"),
            (TEXT, b"{"),
        )
        assert await raw.closed() == 1000
        assert (await ada.text("participant_left"))["reason"] == "left"
        await raw.end()
        assert network.server.door.errors_by_code == {}


@pytest.mark.parametrize(
    ("payload", "code", "name"),
    [
        (b"", 1000, "vanished"),
        (struct.pack("!H", 1000), 1000, "normal"),
        (struct.pack("!H", 4999) + b"mine", 1000, "vanished"),
        (b"\x03", 1002, "websocket_error"),
        (struct.pack("!H", 1005), 1002, "websocket_error"),
        (struct.pack("!H", 1006), 1002, "websocket_error"),
        (struct.pack("!H", 99), 1002, "websocket_error"),
        (struct.pack("!H", 1000) + b"\xff\xfe", 1002, "websocket_error"),
    ],
)
async def test_close_frames_of_every_kind(payload: bytes, code: int, name: str) -> None:
    """Answered, counted, and nobody keeps a connection for it."""
    async with serving(reconnect_grace_s=0) as network:
        raw = await Raw.join(network.server, "bob")
        raw.write((CLOSE, payload), (CLOSE, payload))
        assert await raw.closed() == code
        await raw.end()
        await eventually(lambda: network.server.door.closed_by_name[name] == 1)
        await eventually(lambda: not tuple(network.server.door.participants()))


async def test_a_peer_that_ends_its_sending_is_gone_at_once() -> None:
    """Half of a TCP connection is no session, whether or not the peer still reads."""
    async with serving() as network:
        ada = await network.join("ada")
        raw = await Raw.join(network.server, "bob")
        raw.writer.write_eof()
        assert (await ada.text("participant_updated"))["participant"]["presence"] == "reconnecting"
        await eventually(lambda: len(network.server.door.connections) == 1)
        await raw.end()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (encode_frame(TEXT, b"\xff\xfe{}", b"abcd"), 4000),
        (b"\x01\x83abcd" + bytes(3), None),
        (encode_frame(TEXT, b"", b"abcd"), 4000),
        (b"\x81\x02{}", 1002),
        (b"\xc1\x80abcd", 1002),
        (b"\x83\x80abcd", 1002),
        (b"\x80\x80abcd", 1002),
        (b"\x09\x80abcd", 1002),
        (b"\x89\xfe\x00\x7eabcd", 1002),
        (b"\x82\xff" + b"\xff" * 8, 1002),
    ],
    ids=lambda value: value[:6].hex() if isinstance(value, bytes) else "",
)
async def test_bytes_that_are_no_websocket(data: bytes, code: int | None) -> None:
    """One close code each; half a message keeps the session waiting, not broken."""
    async with serving(reconnect_grace_s=0) as network:
        raw = await Raw.join(network.server, "bob")
        raw.writer.write(data)
        if code is None:
            raw.writer.write(b"\x80\x80abcd")  # its end: three bytes that are not JSON
            code = 4000
        assert await raw.closed() == code
        await raw.end()


async def test_a_message_byte_by_byte_and_audio_in_pieces() -> None:
    """However TCP and the peer cut it."""
    async with serving() as network:
        ada = await network.join("ada")
        raw = await Raw.join(network.server, "bob")
        for byte in encode_frame(TEXT, b'{"type":"track_open","command_id":1}', b"abcd"):
            raw.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        track = (await ada.text("track_opened"))["track"]["track"]
        packet = Packet(track, 1, 960, b"in three pieces")
        pieces = [encode_frame(0, part, b"wxyz") for part in (packet.data[:3], packet.data[3:20], packet.data[20:])]
        raw.writer.write(b"\x02" + pieces[0][1:] + encode_frame(PING, b"!", b"abcd"))
        raw.writer.write(b"\x00" + pieces[1][1:])
        raw.writer.write(b"\x80" + pieces[2][1:])
        assert await ada.packet() == packet
        await raw.end()


async def test_nothing_is_written_to_a_transport_that_broke(caplog: pytest.LogCaptureFixture) -> None:
    """Between the break and connection_lost the room goes on; asyncio would log each of its writes."""
    async with serving() as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        participant = next(one for one in network.server.door.participants() if one.seat.identity == "bob")
        connection = participant.connection
        assert connection is not None
        room = network.server.rooms.get("lobby")
        assert room is not None
        connection.abort()
        for number in range(20):
            room.send("topic", number, asyncio.get_running_loop().time())
        assert (await ada.text("participant_updated"))["participant"]["presence"] == "reconnecting"
        assert not [record for record in caplog.records if record.name == "asyncio"]
        again = await _again(network, bob, bob.started["room"]["last_event_id"])
        assert [(await again.text("message"))["data"] for _ in range(20)] == list(range(20))


async def test_half_a_request_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a silent TCP connection nor an unfinished head holds a socket of the server for long."""
    monkeypatch.setattr("roomtone.server.app.KEEPALIVE_TIMEOUT_S", 0.1)
    async with serving() as network:
        for head in (b"", b"GET /v1/connect HTTP/1.1\r\nHost: 127"):
            reader, writer = await asyncio.open_connection("127.0.0.1", network.server.port)
            writer.write(head)
            async with asyncio.timeout(DEADLINE_S):
                await reader.read()
            writer.close()


# --- floods -------------------------------------------------------------------------------------------------


async def test_a_flood_of_pings_ends_the_session() -> None:
    """Control frames cost as much as others; reading the pongs does not make them free."""
    async with serving(max_tracks_per_participant=1, max_control_messages_per_s=10) as network:
        raw = await Raw.join(network.server, "bob")
        limit = int((FRAMES_PER_S_OF_TRACK + 10) * BURST_S)
        raw.writer.write(encode_frame(PING, b"", b"abcd") * (limit * 3))
        assert await raw.closed() == 4010
        await raw.end()


async def test_a_flood_before_session_start_is_held_to_the_same() -> None:
    """A stranger is not allowed more than a guest, and not answered without bound."""
    async with serving(max_tracks_per_participant=1, max_control_messages_per_s=10) as network:
        raw = await Raw.connect(network.server)
        raw.writer.write(encode_frame(PING, bytes(125), b"abcd") * 10_000)
        assert await raw.closed() == 4010
        await raw.end()


async def test_a_flood_of_audio_ends_the_session() -> None:
    """Far above what eight tracks of the shortest frames can be; the listener does not notice."""
    async with serving(max_tracks_per_participant=1) as network:
        ada = await network.join("ada")
        raw = await Raw.join(network.server, "bob")
        raw.write((TEXT, b'{"type":"track_open","command_id":1}'))
        track = (await ada.text("track_opened"))["track"]["track"]
        raw.writer.write(encode_frame(BINARY, Packet(track, 0, 0, b"x").data, b"abcd") * 5_000)
        assert await raw.closed() == 4010
        await raw.end()
        assert (await ada.text("participant_left"))["identity"] == "bob"


async def test_a_flood_of_long_messages_ends_the_session() -> None:
    """Few but long ones would fill everybody's outbox."""
    async with serving(max_control_bytes_per_s=65_536) as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        for _ in range(20):
            await bob.command("message", data="x" * 16_000)
        assert await bob.closed() == 4010
        await ada.text("participant_left")


async def test_frames_of_another_codec_are_strikes() -> None:
    """Told once a second, counted each: twenty end the session."""
    async with serving() as network:
        eve = await network.join("eve")
        track = await eve.open_track()
        for sequence in range(30):
            await eve.publish(Packet(track, sequence, 0, b"pcm", codec=Codec.PCM_16K))
        assert await eve.closed() == 4000
        assert network.server.door.errors_by_code["bad_audio"] == 1


async def test_opening_and_closing_tracks_for_ever_keeps_nothing() -> None:
    """What was told of a closed track is forgotten."""
    async with serving(max_control_messages_per_s=5000) as network:
        ada = await network.join("ada")
        participant = next(network.server.door.participants())
        loop = asyncio.get_running_loop()
        for sequence in range(50):
            track = await ada.open_track()
            await ada.publish(Packet(track, sequence, 0, b"x"))
            await ada.say("ping", sent_at_ms=0)
            await ada.text("pong")
            participant.sweep(loop.time())
            await ada.command("track_close", track=track)
            await ada.text("track_closed")
        assert len(participant._told) <= 1
        assert participant.opened_by == {}


async def test_a_start_without_a_codec_makes_no_room() -> None:
    """Whoever cannot hear anything does not use up the server's rooms either."""
    async with serving() as network:
        peer = await network.connect()
        await peer.say("session_start", token=network.server.token("ada", room="*"), room="new", codecs=["mp3"])
        assert await peer.closed() == 4000
        assert len(network.server.rooms) == 0


# --- who is asking ------------------------------------------------------------------------------------------


async def test_grants_hold_on_the_wire() -> None:
    """No subscribe: not a frame. No publish: no track. Hidden: nobody is told."""
    async with serving() as network:
        ada = await network.join("ada")
        deaf = await network.join("deaf", grants={"subscribe": False})
        mute = await network.join("mute", grants={"publish": False})
        ghost = await network.join("ghost", grants={"hidden": True})
        await mute.command("track_open")
        assert (await mute.text("error"))["code"] == "not_permitted"
        await ghost.command("track_open")
        assert (await ghost.text("error"))["code"] == "not_permitted"
        track = await ada.open_track()
        await ada.publish(Packet(track, 0, 0, b"x"))
        for hearer in (mute, ghost):
            assert (await hearer.packet()).sequence == 0
        await deaf.command("subscribe", mode="all")
        await deaf.text("command_applied")
        await ada.publish(Packet(track, 1, 0, b"x"))
        await mute.packet()
        await deaf.say("ping", sent_at_ms=0)
        await deaf.text("pong")
        assert deaf.received == 0
        late = await network.join("late")
        assert [one["identity"] for one in late.started["room"]["participants"]] == ["ada", "deaf", "mute", "late"]


async def test_the_limit_behind_a_proxy_is_the_callers() -> None:
    """With trusted proxies each caller has a share of its own; without, the proxy is one caller."""
    async with serving(max_connections_per_ip=1, trusted_proxies=["127.0.0.1"]) as network:
        for address in ("198.51.100.1", "198.51.100.2"):
            await network.connect(headers={"X-Forwarded-For": f"203.0.113.7, {address}"})
        assert sorted(network.server.door._per_ip) == ["198.51.100.1", "198.51.100.2"]
    async with serving() as network:
        await network.connect(headers={"X-Forwarded-For": "198.51.100.1"})
        assert list(network.server.door._per_ip) == ["127.0.0.1"]


@pytest.mark.parametrize("host", ["::1", "127.8.8.8", "localhost"])
async def test_a_server_answers_at_its_own_url(host: str) -> None:
    """Host names, other loopback addresses and IPv6, on the WebSocket and over HTTP."""
    async with serving(host=host) as network:
        ada = await network.join("ada")
        await ada.say("ping", sent_at_ms=1)
        await ada.text("pong")


async def test_all_addresses_of_ipv6_are_reached_by_ipv6() -> None:
    """`::` is bound without IPv4, so the URL names the loopback address of IPv6."""
    async with serving(host="::", allow_remote_dev=True) as network:
        assert network.server.url.startswith("http://[::1]:")
        await network.join("ada")


# --- the server's own life ----------------------------------------------------------------------------------


async def test_starting_and_stopping_in_every_order() -> None:
    """Twice, before the start, again after the stop: nothing is left behind."""
    before = asyncio.all_tasks()
    server = Server(dev=True, port=0, drain_timeout_s=0)
    await server.stop()
    for _ in range(2):
        await server.start()
        with pytest.raises(RuntimeError, match="already"):
            await server.start()
        await asyncio.gather(server.stop(), server.stop())
        await server.stop()
    assert asyncio.all_tasks() == before


async def test_a_start_that_is_cancelled_or_fails_leaves_nothing() -> None:
    """The port is free again, and the same server can be started later."""
    before = asyncio.all_tasks()
    server = Server(dev=True, port=0, drain_timeout_s=0)
    starting = asyncio.create_task(server.start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    async with Server(dev=True, port=0, drain_timeout_s=0) as other:
        taken = Server(dev=True, port=other.port)
        with pytest.raises(OSError):
            await taken.start()
        await taken.stop()
    await server.start()
    await server.stop()
    assert asyncio.all_tasks() == before


async def test_stopping_while_connections_open() -> None:
    """Those in the middle of their handshake are refused or closed; stop() ends all the same."""
    async with serving() as network:
        opening = [asyncio.create_task(network.connect()) for _ in range(20)]
        await asyncio.sleep(0)
        await network.server.stop()
        await asyncio.gather(*opening, return_exceptions=True)
        assert not network.server.door.connections
