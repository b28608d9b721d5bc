"""Freshness over real sockets: a listener that does not keep up loses old audio, then its connection."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp

from roomtone.media.packet import FLAG_DISCONTINUITY, Codec, Packet
from tests.wire import Network, Peer, eventually, serving, small_receive_buffer

BOTH_LOOPS = True

FRAME = b"\x00" * 400


async def _join_small(network: Network, session: aiohttp.ClientSession, identity: str) -> Peer:
    """A peer with a small kernel buffer, whose reading the test decides."""
    ws = await session.ws_connect(f"{network.server.url}/v1/connect", protocols=("roomtone.v1",), autoping=False)
    peer = Peer(ws)
    await peer.start(network.server.token(identity, room="lobby"), codecs=["opus", "pcm_16k"])
    return peer


def _session() -> aiohttp.ClientSession:
    def small(info: object) -> object:
        sock = small_receive_buffer()
        sock.setblocking(False)
        return sock

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=small))


async def _let_go(stuck: Peer) -> None:
    """Read again, so that the end of the connection is seen, and close."""
    assert stuck.ws._conn is not None
    if stuck.ws._conn.transport is not None:
        stuck.ws._conn.transport.resume_reading()
    await stuck.ws.close()


async def _talk(peer: Peer, track: int, stop: asyncio.Event) -> None:
    """Frames of 20 ms in real time."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    sequence = 0
    while not stop.is_set():
        await peer.publish(Packet(track, sequence & 0xFFFF, sequence * 960, FRAME, level=20, voice=True))
        sequence += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(start + sequence * 0.02):
                await stop.wait()


async def _listen(peer: Peer, heard: list[Packet], *, report: bool) -> None:
    """Receive until closed, acknowledging every 100 ms where asked to."""
    loop = asyncio.get_running_loop()
    told = loop.time()
    while True:
        message = await peer.next()
        if isinstance(message, int):
            return
        if isinstance(message, Packet):
            heard.append(message)
        if report and loop.time() - told > 0.1:
            told = loop.time()
            await peer.say("receive_report", received=peer.received)


async def test_a_stuck_listener_is_dropped_for_and_then_closed() -> None:
    """Its audio is dropped, bounded memory is held for it, it is closed as too_slow; others hear every frame."""
    async with serving(lag_drop_ms=300, lag_close_ms=1200) as network, _session() as session:
        ada, bob = await network.join("ada"), await network.join("bob")
        stuck = await _join_small(network, session, "stuck")
        transport = stuck.ws._conn
        assert transport is not None
        assert transport.transport is not None
        transport.transport.pause_reading()
        track = await ada.open_track()
        stop = asyncio.Event()
        heard: list[Packet] = []
        tasks = [
            asyncio.create_task(_talk(ada, track, stop)),
            asyncio.create_task(_listen(bob, heard, report=True)),
        ]
        door = network.server.door
        participant = next(one for one in door.participants() if one.seat.identity == "stuck")
        await eventually(lambda: participant.seat.weak, "the listener was not found to be weak")
        await eventually(lambda: participant.dropped_frames > 0, "no frame was dropped")
        await eventually(lambda: participant.connection is None, "the stuck listener was not closed")
        await eventually(lambda: door.closed_by_name["too_slow"] == 1)
        stop.set()
        await tasks[0]
        await bob.ws.close()
        await asyncio.gather(*tasks)
        assert [packet.sequence for packet in heard] == list(range(len(heard)))
        assert len(heard) > 40
        await _let_go(stuck)


async def test_a_listener_that_catches_up_goes_on_with_a_discontinuity() -> None:
    """After a pause it gets fresh audio, the first frame flagged, and is told how its connection fares."""
    async with serving(lag_drop_ms=300, lag_close_ms=8000) as network, _session() as session:
        ada = await network.join("ada")
        slow = await _join_small(network, session, "slow")
        assert slow.ws._conn is not None
        transport = slow.ws._conn.transport
        assert transport is not None
        track = await ada.open_track()
        stop = asyncio.Event()
        talking = asyncio.create_task(_talk(ada, track, stop))
        participant = next(one for one in network.server.door.participants() if one.seat.identity == "slow")
        transport.pause_reading()
        await eventually(lambda: participant.dropped_frames > 5, "no frame was dropped")
        transport.resume_reading()
        heard: list[Packet] = []
        qualities: list[str] = []
        async with asyncio.timeout(10):
            while not any(packet.flags & FLAG_DISCONTINUITY for packet in heard):
                message = await slow.next()
                if isinstance(message, Packet):
                    heard.append(message)
                    await slow.say("receive_report", received=slow.received)
                elif isinstance(message, dict) and message["type"] == "connection_quality":
                    qualities.append(message["quality"])
        stop.set()
        await talking
        sequences = [packet.sequence for packet in heard]
        assert sequences == sorted(sequences)
        assert sequences[-1] - sequences[-2] > 1, "the flagged frame comes after the gap"
        assert "poor" in qualities
        await slow.ws.close()


async def test_a_client_that_never_reports_is_judged_by_its_socket() -> None:
    """It reads, so the kernel holds nothing for it: nothing is dropped."""
    async with serving(lag_drop_ms=200, lag_close_ms=1000) as network:
        ada, quiet = await network.join("ada"), await network.join("quiet")
        track = await ada.open_track()
        stop = asyncio.Event()
        heard: list[Packet] = []
        talking = asyncio.create_task(_talk(ada, track, stop))
        listening = asyncio.create_task(_listen(quiet, heard, report=False))
        await eventually(lambda: len(heard) > 80)
        stop.set()
        await talking
        await quiet.ws.close()
        await listening
        assert [packet.sequence for packet in heard] == list(range(len(heard)))


async def test_control_that_piles_up_closes_the_listener() -> None:
    """Control is never dropped: a listener that does not read is closed, to come back to a snapshot."""
    async with (
        serving(max_control_messages_per_s=5000, max_control_bytes_per_s=10**9) as network,
        _session() as session,
    ):
        ada = await network.join("ada")
        stuck = await _join_small(network, session, "stuck")
        assert stuck.ws._conn is not None
        assert stuck.ws._conn.transport is not None
        stuck.ws._conn.transport.pause_reading()
        for _ in range(3000):
            await ada.command("message", data="x" * 2000)
            await ada.text("command_applied")
            if network.server.door.closed_by_name["too_slow"]:
                break
        await eventually(lambda: network.server.door.closed_by_name["too_slow"] == 1)
        await _let_go(stuck)


async def test_a_flush_reaches_what_waits_for_a_slow_listener() -> None:
    """Older audio is thrown away in the server too, not only at the listener's."""
    async with (
        serving(lag_drop_ms=5000, lag_close_ms=9000, max_track_bitrate_bps=10**9) as network,
        _session() as session,
    ):
        ada = await network.join("ada")
        slow = await _join_small(network, session, "slow")
        assert slow.ws._conn is not None
        transport = slow.ws._conn.transport
        assert transport is not None
        transport.pause_reading()
        track = await ada.open_track(codec="pcm_16k")
        participant = next(one for one in network.server.door.participants() if one.seat.identity == "slow")
        sequence = 0
        while participant._outbox is None or participant._outbox.audio_ms < 200:
            await ada.publish(Packet(track, sequence & 0xFFFF, sequence * 960, bytes(640), codec=Codec.PCM_16K))
            sequence += 1
            await asyncio.sleep(0)
        await ada.command("track_flush", track=track, from_sequence=sequence)
        await ada.text("command_applied")
        assert participant._outbox.audio_ms == 0
        await ada.publish(Packet(track, sequence & 0xFFFF, sequence * 960, bytes(640), codec=Codec.PCM_16K))
        transport.resume_reading()
        flushed = False
        while True:
            message = await slow.next()
            if isinstance(message, dict) and message["type"] == "track_flushed":
                flushed = True
            if isinstance(message, Packet) and message.sequence == sequence:
                break
        assert flushed
        await slow.ws.close()
