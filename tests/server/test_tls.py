"""Sessions over TLS: the same hand-over, the same freshness."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest

from roomtone.media.packet import Codec, Packet
from roomtone.server.app import Server
from tests.cli.certificates import write_certificate
from tests.wire import DEADLINE_S, Network, Peer, eventually, serving, small_receive_buffer

BOTH_LOOPS = True


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(certificate, private key)."""
    return write_certificate(tmp_path_factory.mktemp("tls"))


def _session(certificate: Path, *, small: bool = False) -> aiohttp.ClientSession:
    def socket(_: object) -> object:
        sock = small_receive_buffer()
        sock.setblocking(False)
        return sock

    trusted = ssl.create_default_context(cafile=certificate)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted, socket_factory=socket if small else None))


async def _join(network: Network, session: aiohttp.ClientSession, identity: str) -> Peer:
    ws = await session.ws_connect(f"{network.server.url}/v1/connect", protocols=("roomtone.v1",))
    peer = Peer(ws)
    await peer.start(network.server.token(identity, room="lobby"), codecs=["opus", "pcm_16k"])
    return peer


async def test_every_message_goes_out_at_once(certificate: tuple[Path, Path]) -> None:
    """Answers and audio do not wait for a next write to push them out."""
    chain, private = certificate
    async with serving(tls_cert=chain, tls_key=private) as network, _session(chain) as session:
        assert network.server.url.startswith("https://")
        ada, bob = await _join(network, session, "ada"), await _join(network, session, "bob")
        track = await ada.open_track()
        for sequence in range(20):
            packet = Packet(track, sequence, sequence * 960, b"frame")
            await ada.publish(packet)
            assert await bob.packet() == packet
            await bob.say("ping", sent_at_ms=sequence)
            await bob.text("pong", sent_at_ms=sequence)
        bob.cut()
        assert (await ada.text("participant_updated"))["participant"]["presence"] == "reconnecting"
        await ada.ws.close()


async def test_a_stuck_listener_over_tls(certificate: tuple[Path, Path]) -> None:
    """What TLS buffers is bounded too: audio is dropped, the listener is closed."""
    chain, private = certificate
    settings = {
        "lag_drop_ms": 200,
        "lag_close_ms": 1000,
        "max_track_bitrate_bps": 10**9,
        "max_tracks_per_participant": 64,
    }
    async with (
        serving(tls_cert=chain, tls_key=private, **settings) as network,
        _session(chain) as session,
        _session(chain, small=True) as small,
    ):
        ada = await _join(network, session, "ada")
        stuck = await _join(network, small, "stuck")
        assert stuck.ws._conn is not None
        assert stuck.ws._conn.transport is not None
        stuck.ws._conn.transport.pause_reading()
        track = await ada.open_track(codec="pcm_16k")
        participant = next(one for one in network.server.door.participants() if one.seat.identity == "stuck")
        sequence = 0
        deadline = asyncio.get_running_loop().time() + DEADLINE_S
        while participant.connection is not None and asyncio.get_running_loop().time() < deadline:
            await ada.publish(Packet(track, sequence & 0xFFFF, sequence * 960, bytes(640), codec=Codec.PCM_16K))
            sequence += 1
            await asyncio.sleep(0)
        assert participant.connection is None
        assert participant.dropped_frames > 0
        await eventually(lambda: network.server.door.closed_by_name["too_slow"] == 1)
        stuck.cut()
        await ada.ws.close()


async def test_a_certificate_that_is_none_leaves_nothing_behind(certificate: tuple[Path, Path]) -> None:
    """start() fails before anything runs, and the same server starts once the file is mended."""
    chain, private = certificate
    broken = chain.with_name("broken.pem")
    broken.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    server = Server(dev=True, port=0, tls_cert=broken, tls_key=private)
    before = asyncio.all_tasks()
    with pytest.raises(OSError, match=r"(?i)pem|ssl"):
        await server.start()
    assert asyncio.all_tasks() == before
    broken.write_bytes(chain.read_bytes())
    await server.start()
    await server.stop()
