"""Connections come and go, the session stays."""

from __future__ import annotations

import asyncio
import socket

import pytest

import roomtone
from roomtone.client.transport import Transport
from roomtone.media.packet import FLAG_DISCONTINUITY
from roomtone.protocol import messages
from roomtone.protocol.close_codes import GOING_AWAY
from roomtone.server.app import Server
from tests.client.rooms import DEADLINE_S, SAMPLE, chirp, cut, joining, pcm_chunks, serving, until

both_transports = pytest.mark.parametrize("memory", [False, True], ids=["socket", "memory"])


@both_transports
async def test_a_cut_connection_resumes(memory: bool) -> None:
    """Same ids, missed events told, tracks go on where they were, and others saw it only as `reconnecting`."""
    async with (
        serving() as server,
        joining(server, "ada", memory=memory) as ada,
        joining(server, "bob", memory=memory) as bob,
    ):
        local = await bob.open_track()
        remote = await ada.next_track(DEADLINE_S)
        packets, at_ada, at_bob = remote.packets(), ada.events(), bob.events()
        local.write(chirp(0.02))
        async with asyncio.timeout(DEADLINE_S):
            first = await anext(packets)
        before = (bob.participant_id, local.id)
        cut(bob)
        await until(lambda: ada.participants["bob"].presence == "reconnecting")
        await ada.send("missed")
        await until(lambda: bob.state == "joined" and bob.statistics.reconnects == 1)
        assert (bob.participant_id, local.id) == before
        local.write(chirp(0.02))
        second = await anext(packets)
        assert first.track == second.track == local.id
        assert (second.sequence - first.sequence) % 65_536 == 1
        assert not remote.closed
        await until(lambda: ada.participants["bob"].presence == "joined")
        await bob.leave()
        states = [event async for event in at_bob]
        assert roomtone.StateChanged("joined") in states
        assert "missed" in [event.data for event in states if isinstance(event, messages.RoomMessage)]
        await ada.leave()
        kinds = [type(event) async for event in at_ada]
        assert kinds.count(messages.ParticipantLeft) == kinds.count(messages.TrackClosed) == 1
        assert messages.ParticipantJoined not in kinds


async def test_commands_are_applied_once() -> None:
    """A command whose answer was lost with the connection is sent again, and the room sees it once."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        events = bob.events()
        sending = [asyncio.create_task(ada.send(number)) for number in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        cut(ada)
        late = asyncio.create_task(ada.send(20))
        await asyncio.gather(*sending, late)
        assert ada.statistics.reconnects == 1
        await ada.send("end")
        heard = []
        async for event in events:
            if isinstance(event, messages.RoomMessage):
                if event.data == "end":
                    break
                heard.append(event.data)
        assert heard == list(range(21))


async def test_a_lost_seat_is_taken_anew() -> None:
    """Past the grace time the session begins again: tracks are opened again, wishes are told again."""
    async with (
        serving(reconnect_grace_s=0) as server,
        joining(server, "ada") as ada,
        joining(server, "bob") as bob,
    ):
        local = await bob.open_track(name="mic")
        first = await ada.next_track(DEADLINE_S)
        await local.mute()
        await bob.set_state(attributes={"mood": "stubborn"})
        await bob.subscribe("speakers", limit=1)
        before = bob.participant_id
        connector = bob._link._connector  # type: ignore[union-attr]
        connect = connector.open

        async def late(url: str | None) -> Transport:
            await until(lambda: "bob" not in ada.participants)
            return await connect(url)

        connector.open = late  # type: ignore[method-assign]
        cut(bob)
        await until(lambda: bob.state == "joined" and bob.participant_id != before)
        second = await ada.next_track(DEADLINE_S)
        assert first.closed
        assert (second.name, second.identity) == ("mic", "bob")
        await until(lambda: local.id == second.id and second.muted)
        await until(lambda: ada.participants["bob"].attributes == {"mood": "stubborn"})
        packets = second.packets()
        await local.unmute()
        local.write(chirp(0.02))
        assert (await anext(packets)).track == second.id


async def test_a_restarted_server_is_found_again() -> None:
    """The address answers again later: the client backs off until then, with the same room object."""
    async with serving() as server:
        port = server.port
        room = joining(server, "ada")
        await room.join()
        keys = server.config.keys
    assert room.state in ("reconnecting", "joined")
    await until(lambda: room.state == "reconnecting")
    async with serving(port=port, keys=keys):
        await until(lambda: room.state == "joined")
        await room.send("back")
        await room.leave()


async def test_draining_moves_to_another_server() -> None:
    """`draining` with an address: the client goes there, opens its tracks anew, and nobody had to ask."""
    async with serving() as old, serving(keys=old.config.keys) as new, joining(old, "ada") as ada:
        local = await ada.open_track(name="mic")
        events = ada.events()
        async with joining(new, "bob") as bob:
            _tell_all(old, messages.Draining(deadline_ms=100, url=new.url))
            remote = await bob.next_track(DEADLINE_S)
            assert (remote.name, remote.identity) == ("mic", "ada")
            await until(lambda: local.id == remote.id)
            await ada.send("moved")
        seen = []
        async for event in events:
            seen.append(type(event))
            if isinstance(event, messages.ParticipantLeft):
                break
        assert messages.Draining in seen


async def test_draining_without_an_address_waits_to_be_closed() -> None:
    """The same address may belong to the successor: the client stays to the end, then comes back."""
    async with serving() as server, joining(server, "ada") as ada:
        _tell_all(server, messages.Draining(deadline_ms=0))
        await ada.send("still here")
        for connection in tuple(server.door.connections):
            connection.close(GOING_AWAY)
        await until(lambda: ada.statistics.reconnects == 1 and ada.state == "joined")


@both_transports
async def test_the_older_session_is_replaced(memory: bool) -> None:
    """The newer of two sessions of an identity stays; the older is told why, and does not fight back."""
    async with (
        serving() as server,
        joining(server, "ada", memory=memory) as older,
        joining(server, "ada", memory=memory) as newer,
    ):
        with pytest.raises(roomtone.Replaced) as replaced:
            await older.wait_closed()
        assert replaced.value.code == 4002
        assert not replaced.value.retryable
        assert older.error is replaced.value
        await newer.send("mine")
        with pytest.raises(roomtone.Replaced):
            await anext(older.events())


@both_transports
@pytest.mark.parametrize("token", ["", "no.such.token"])
async def test_a_bad_token_is_refused(memory: bool, token: str) -> None:
    """Entering raises BadToken, once, and leaves nothing behind."""
    async with serving() as server:
        with pytest.raises(roomtone.BadToken) as refused:
            async with roomtone.connect(server if memory else server.url, token, room="lobby"):
                raise AssertionError("the server let a forger in")
        assert refused.value.code == 4001


async def test_a_full_room_is_told() -> None:
    """The first attempt is not repeated behind the caller's back; the error says that later may do."""
    async with serving(max_participants_per_room=1) as server, joining(server, "ada"):
        with pytest.raises(roomtone.RoomFull) as full:
            await joining(server, "bob").join()
        assert full.value.retryable


async def test_a_token_provider_is_asked_for_every_connection() -> None:
    """Sessions outlive their tokens: each connection asks for a fresh one, also of an asynchronous provider."""
    async with serving() as server:
        asked: list[int] = []

        async def fresh() -> str:
            asked.append(len(asked))
            return server.token("ada", room="lobby")

        async with roomtone.connect(server.url, fresh) as ada:
            cut(ada)
            await until(lambda: ada.statistics.reconnects == 1)
            assert len(asked) == 2
        async with roomtone.connect(server.url, lambda: server.token("bob", room="lobby")) as bob:
            assert bob.identity == "bob"


async def test_a_failing_token_provider_fails_the_first_and_delays_the_next() -> None:
    """Before the first session it is the caller's error; later it is tried again."""

    def broken() -> str:
        raise OSError("the token service is down")

    async with serving() as server:
        with pytest.raises(roomtone.BadToken, match="token service is down"):
            await roomtone.connect(server.url, broken).join()
        answers = [server.token("ada", room="lobby"), None, server.token("ada", room="lobby")]

        def flaky() -> str:
            answer = answers.pop(0)
            if answer is None:
                raise OSError("down for a moment")
            return answer

        async with roomtone.connect(server.url, flaky) as ada:
            cut(ada)
            await until(lambda: ada.statistics.reconnects == 1)


async def test_nobody_answers() -> None:
    """A closed port, a name that does not exist and an HTTP server are told apart in one line."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(roomtone.ServerUnreachable, match="cannot reach"):
        await roomtone.connect(f"http://127.0.0.1:{port}", "x").join()
    async with serving() as server:
        with pytest.raises(roomtone.ServerUnreachable, match="404"):
            await roomtone.connect(f"{server.url}/elsewhere", "x").join()


async def test_without_reconnect_the_end_is_the_end() -> None:
    """reconnect=False: a cut connection closes the room with an error."""
    async with serving() as server, joining(server, "ada", reconnect=False) as ada:
        cut(ada)
        with pytest.raises(roomtone.ConnectError):
            await ada.wait_closed()
        assert ada.state == "closed"


async def test_leaving_while_reconnecting_is_quick_and_clean() -> None:
    """Nobody waits for a server that is gone."""
    async with serving() as server:
        ada = joining(server, "ada")
        await ada.join()
        await ada.publish(pcm_chunks(chirp(1.0)))
    await until(lambda: ada.state == "reconnecting")
    waiting = asyncio.create_task(ada.send("never"))
    await asyncio.sleep(0)
    await ada.leave()
    with pytest.raises(roomtone.NotInRoom):
        await waiting
    assert ada.state == "closed"


async def test_joining_can_be_cancelled() -> None:
    """A caller that gives up on a silent server gets its task back, and no socket stays."""
    accepted = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read()
        writer.close()
        await writer.wait_closed()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    joining_task = asyncio.create_task(roomtone.connect(f"ws://127.0.0.1:{port}", "x").join())
    await accepted.wait()
    await asyncio.sleep(0)
    joining_task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await joining_task
    listener.close()
    await listener.wait_closed()
    await until(lambda: len(asyncio.all_tasks()) == 1)


async def test_a_gap_of_the_connection_is_marked() -> None:
    """Frames written while nothing is connected are dropped and counted; the next is flagged."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        local = await ada.open_track()
        packets = (await bob.next_track(DEADLINE_S)).packets()
        local.write(chirp(0.02))
        await anext(packets)
        cut(ada)
        await until(lambda: ada.state == "reconnecting")
        local.write(chirp(0.4))
        await until(lambda: ada.state == "joined")
        other = await ada.open_track()
        assert ada.statistics.dropped_frames == 20
        assert (local.statistics.dropped_frames, other.statistics.dropped_frames) == (20, 0)
        local.write(chirp(0.02))
        assert (await anext(packets)).flags & FLAG_DISCONTINUITY


async def test_the_servers_bitrate_is_obeyed() -> None:
    """set_bitrate lowers what the encoder makes, and never raises it over what the track was opened with."""
    async with serving() as server, joining(server, "ada") as ada:
        local = await ada.open_track(bitrate_bps=48_000)
        events = ada.events()
        for wanted, got in ((12_000, 12_000), (96_000, 48_000)):
            _tell_all(server, messages.SetBitrate(track=local.id, bitrate_bps=wanted))
            async for event in events:
                if isinstance(event, messages.SetBitrate):
                    break
            assert local.statistics.bitrate_bps == got


def _tell_all(server: Server, message: messages.Message) -> None:
    for participant in server.door.participants():
        participant.send(message)


async def test_a_stuck_uplink_drops_and_recovers() -> None:
    """A server that does not read: the kernel takes it all, but unacknowledged audio is not piled up."""
    async with serving(receive_report_interval_ms=100) as server, joining(server, "ada") as ada:
        local = await ada.open_track()
        local.write(chirp(0.02))
        uplink = ada._link.uplink  # type: ignore[union-attr]
        await until(lambda: uplink._reported)
        (connection,) = server.door.connections
        connection._transport.pause_reading()
        async with asyncio.timeout(DEADLINE_S):
            while ada.statistics.dropped_frames < 20:
                local.write(chirp(0.02))
                await asyncio.sleep(0.02)
        held = ada.statistics.dropped_frames
        connection._transport.resume_reading()
        await until(lambda: not uplink.waiting)
        async with asyncio.timeout(DEADLINE_S):
            for _ in range(25):
                local.write(chirp(0.02))
                await asyncio.sleep(0.02)
        assert ada.statistics.dropped_frames - held < 25
        assert local.statistics.sent_frames > ada.statistics.dropped_frames


async def test_a_session_that_ends_stops_its_tracks() -> None:
    """Replaced in the middle of a file: wait() tells why, the file's thread ends with the room."""
    async with serving() as server, joining(server, "ada") as older:
        file = await older.publish(str(SAMPLE), loop=True)
        live = await older.publish(pcm_chunks(chirp(5.0)))
        async with joining(server, "ada"):
            for track in (file, live):
                with pytest.raises(roomtone.Replaced):
                    await track.wait()
            assert older.local_tracks == []


async def test_large_data_is_the_callers_mistake() -> None:
    """It is refused here, and does not cost the session."""
    async with serving() as server, joining(server, "ada") as ada:
        with pytest.raises(ValueError, match="bytes of JSON"):
            await ada.send("x" * 20_000)
        await ada.send("x" * 16_000)
