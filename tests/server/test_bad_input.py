"""What strangers, the careless and the hostile send: a typed error or a close code, and nobody else notices."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import time

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from roomtone.media.packet import Codec, Packet
from roomtone.server.auth import DEV_KEY, Key, mint
from tests.wire import Network, Peer, eventually, serving

BOTH_LOOPS = True


async def bystanders(network: Network) -> tuple[Peer, Peer, int]:
    """Two well-behaved peers, one of them publishing."""
    ada, bob = await network.join("ada"), await network.join("bob")
    return ada, bob, await ada.open_track()


async def still_fine(ada: Peer, bob: Peer, track: int) -> None:
    """The bystanders hear each other as if nothing had happened."""
    packet = Packet(track, 1, 960, b"still here")
    await ada.publish(packet)
    assert await bob.packet() == packet


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "42",
        '"session_start"',
        "{}",
        '{"type":"ping","sent_at_ms":1}',
        '{"type":7}',
        '{"type":"nonsense"}',
    ],
)
async def test_the_first_message_has_to_be_session_start(text: str) -> None:
    """Anything else closes with protocol_error."""
    async with serving() as network:
        ada, bob, track = await bystanders(network)
        peer = await network.connect()
        await peer.ws.send_str(text)
        assert await peer.closed() == 4000
        await still_fine(ada, bob, track)


async def test_audio_before_session_start_is_a_protocol_error() -> None:
    """There is no track yet that could carry it."""
    async with serving() as network:
        peer = await network.connect()
        await peer.ws.send_bytes(Packet(0, 0, 0, b"x").data)
        assert await peer.closed() == 4000


async def test_a_silent_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever says nothing for the start timeout is closed with start_timeout."""
    async with serving() as network:
        door = network.server.door
        real = door.new_session

        def hasty(now: float) -> object:
            return real(now - 4.9)  # as if it had connected 4.9 s ago

        monkeypatch.setattr(type(door), "new_session", lambda self, now: hasty(now))
        peer = await network.connect()
        # bound before the patch where the server was started first: both ways end the same
        assert await peer.closed() == 4004


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"type":"fly_to_the_moon","command_id":3}', "unsupported"),
        ('{"type":"track_open","command_id":"three"}', "invalid"),
        ('{"type":"track_open","command_id":1,"codec":"mp3"}', "invalid"),
        ('{"type":"track_open","command_id":1,"channels":7}', "invalid"),
        ('{"type":"mute","command_id":1}', "invalid"),
        ('{"type":"receive_report","received":-1}', "invalid"),
        ('{"type":"receive_report","received":5}', "invalid"),
        ('{"type":"track_close","command_id":1,"track":5}', "unknown_track"),
        ('{"type":"moderate","command_id":1,"action":"remove","identity":"bob"}', "not_permitted"),
    ],
)
async def test_a_bad_command_is_answered_and_the_session_goes_on(text: str, code: str) -> None:
    """The error is typed; the next message is handled as if nothing had happened."""
    async with serving() as network:
        ada, bob, track = await bystanders(network)
        peer = await network.join("eve")
        await peer.ws.send_str(text)
        assert (await peer.text("error"))["code"] == code
        await peer.say("ping", sent_at_ms=1)
        await peer.text("pong")
        await still_fine(ada, bob, track)


@pytest.mark.parametrize("text", ["{", "[1]", "nonsense", '{"type":"session_start","token":""}'])
async def test_broken_json_or_a_second_start_ends_the_session(text: str) -> None:
    """What cannot be told apart from a confused peer closes with protocol_error."""
    async with serving() as network:
        ada, bob, track = await bystanders(network)
        peer = await network.join("eve")
        await peer.ws.send_str(text)
        assert await peer.closed() == 4000
        await still_fine(ada, bob, track)


@pytest.mark.parametrize("binary", [False, True])
async def test_a_megabyte_is_too_big(binary: bool) -> None:
    """Closed as soon as the frame's header is read, with nothing buffered."""
    async with serving() as network:
        ada, bob, track = await bystanders(network)
        peer = await network.join("eve")
        with contextlib.suppress(ConnectionError):  # the server may have closed already
            if binary:
                await peer.ws.send_bytes(bytes(1_000_000))
            else:
                await peer.ws.send_str("x" * 1_000_000)
        assert await peer.closed() == 1009
        await eventually(lambda: network.server.door.closed_by_name["message_too_big"] == 1)
        await still_fine(ada, bob, track)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x11",
        bytes(12),
        bytes(13),
        Packet(0, 0, 0, b"x").data[:12],
        b"\x21" + bytes(20),
        b"\x12" + bytes(20),
        bytes([0x11, 0xF0]) + bytes(20),
        bytes([0x11, 0, 0, 99]) + bytes(20),
        b"\x11" + bytes(60_000),
    ],
    ids=lambda data: f"{len(data)}-{data[:4].hex()}",
)
async def test_a_binary_message_that_is_no_audio_is_refused(data: bytes) -> None:
    """Truncated headers, unknown versions, kinds, flags, codecs, and too much: one typed error each."""
    async with serving() as network:
        ada, bob, track = await bystanders(network)
        peer = await network.join("eve")
        await peer.ws.send_bytes(data)
        assert (await peer.text("error"))["code"] == "bad_audio"
        await still_fine(ada, bob, track)


async def test_too_many_bad_frames_end_the_session() -> None:
    """One bad frame may be a bug, twenty are not going to stop."""
    async with serving() as network:
        peer = await network.join("eve")
        for _ in range(30):
            await peer.ws.send_bytes(b"garbage")
        assert await peer.closed() == 4000


async def test_someone_elses_track_cannot_be_used() -> None:
    """Neither an unknown track nor another's reaches anybody."""
    async with serving() as network:
        ada, bob, track = await bystanders(network)
        eve = await network.join("eve")
        await eve.publish(Packet(track, 0, 0, b"forged"))
        assert (await eve.text("error"))["code"] == "unknown_track"
        await still_fine(ada, bob, track)


async def test_garbage_and_jumps_inside_a_track_are_forwarded() -> None:
    """The server never decodes: payloads and numbering are for the listener's buffer to survive."""
    async with serving() as network:
        ada, bob, track = await bystanders(network)
        for sequence, timestamp in ((0, 0), (40_000, 7), (39_999, 4_294_967_295), (65_535, 1)):
            packet = Packet(track, sequence, timestamp, b"\xff" * 40)
            await ada.publish(packet)
            assert await bob.packet() == packet


async def test_another_codec_than_the_tracks_is_refused() -> None:
    """A track carries what it was opened with."""
    async with serving() as network:
        ada, bob, track = await bystanders(network)
        await ada.publish(Packet(track, 0, 0, b"pcm", codec=Codec.PCM_16K))
        assert (await ada.text("error"))["code"] == "bad_audio"
        await still_fine(ada, bob, track)


def _token(**changes: object) -> str:
    claims: dict[str, object] = {
        "iss": "devkey", "sub": "eve", "aud": "roomtone", "exp": int(time.time()) + 60, "room": "lobby",
    }  # fmt: skip
    claims.update(changes)
    return jwt.encode({k: v for k, v in claims.items() if v is not None}, DEV_KEY.material, algorithm="HS256")


def _hs256_with(secret: bytes, claims: dict[str, object]) -> str:
    """PyJWT refuses to sign with a PEM, as it should; an attacker would not."""

    def part(value: object) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    body = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(claims)
    signature = base64.urlsafe_b64encode(hmac.new(secret, body, hashlib.sha256).digest()).rstrip(b"=")
    return (body + b"." + signature).decode()


def _bad_tokens() -> dict[str, str]:
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    now = int(time.time())
    return {
        "missing": "",
        "not a jwt": "abc.def",
        "expired": _token(exp=now - 60),
        "no expiry": _token(exp=None),
        "no subject": _token(sub=None),
        "other audience": _token(aud="elsewhere"),
        "no audience": _token(aud=None),
        "no room": _token(room=None),
        "room is a number": _token(room=7),
        "unknown issuer": _token(iss="stranger"),
        "issuer is a list": _hs256_with(
            DEV_KEY.material.encode(), {"iss": ["devkey"], "sub": "eve", "aud": "roomtone", "exp": now + 60}
        ),
        "grants are a list": _token(grants=["publish"]),
        "wrong key": mint(Key("devkey", "HS256", "x" * 40), "eve", room="lobby"),
        "wrong algorithm": mint(Key("devkey", "EdDSA", pem), "eve", room="lobby"),
        "alg none": jwt.encode(
            {"iss": "devkey", "sub": "eve", "aud": "roomtone", "exp": now + 60}, "", algorithm="none"
        ),
        "not yet valid": _token(nbf=now + 3600),
    }


@pytest.mark.parametrize("reason", _bad_tokens())
async def test_a_bad_token_opens_nothing(reason: str) -> None:
    """Closed with bad_token; the reason never carries the token."""
    async with serving() as network:
        token = _bad_tokens()[reason]
        peer = await network.connect()
        await peer.say("session_start", token=token)
        assert await peer.closed() == 4001


async def test_a_public_key_is_no_secret() -> None:
    """A token HMAC-signed with an EdDSA key's public PEM is refused: the entry fixes the algorithm."""
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    secret = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    keys = [{"id": "ed", "algorithm": "EdDSA", "public_key": public.decode()}]
    async with serving(keys=keys) as network:
        peer = await network.connect()
        await peer.start(mint(Key("ed", "EdDSA", secret.decode()), "ada", room="lobby"))
        forged = _hs256_with(public, {"iss": "ed", "sub": "eve", "aud": "roomtone", "exp": int(time.time()) + 60})
        peer = await network.connect()
        await peer.say("session_start", token=forged)
        assert await peer.closed() == 4001


async def test_a_token_opens_its_own_room_only() -> None:
    """Asking for another room closes with bad_token; a token for any room has to name one."""
    async with serving() as network:
        peer = await network.connect()
        await peer.say("session_start", token=network.server.token("ada", room="lobby"), room="vault")
        assert await peer.closed() == 4001
        peer = await network.connect()
        await peer.start(network.server.token("ada", room="*"), room="vault")
        assert peer.started["room"]["name"] == "vault"


async def test_http_on_the_websocket_path_is_told_what_to_do() -> None:
    """426 and a problem document, the connection stays usable."""
    async with serving() as network, aiohttp.ClientSession() as session:
        for _ in range(2):
            async with session.get(f"{network.server.url}/v1/connect") as response:
                assert response.status == 426
                assert response.content_type == "application/problem+json"
                assert (await response.json())["code"] == "not_a_websocket"


async def test_another_sites_page_cannot_join() -> None:
    """Origin and Host are checked, so that a page cannot use a developer's loopback server."""
    async with serving(allowed_origins=["https://good.example"]) as network:
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Host": "evil.example"},
            {"Origin": "http://localhost:1"},
        ):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await network.connect(headers=headers)
            assert refused.value.status in (403, 421)
        for origin in ("https://good.example", network.server.url):
            await (await network.connect(headers={"Origin": origin})).ws.close()


async def test_limits_on_connections() -> None:
    """One connection too many is refused over HTTP; a place that is free again is given again."""
    async with serving(max_connections=2) as network:
        first, _ = await network.join("ada"), await network.join("bob")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await network.connect()
        assert refused.value.status == 503
        await first.say("leave")
        await first.closed()
        await eventually(lambda: len(network.server.door.connections) == 1)
        await network.join("eve")


async def test_limits_on_rooms_and_participants() -> None:
    """A full room closes with room_full, a full server with server_full."""
    async with serving(max_rooms=1, max_participants_per_room=1) as network:
        await network.join("ada")
        peer = await network.connect()
        await peer.say("session_start", token=network.server.token("bob", room="lobby"))
        assert await peer.closed() == 4006
        peer = await network.connect()
        await peer.say("session_start", token=network.server.token("bob", room="other"))
        assert await peer.closed() == 4007


async def test_a_thousand_openings_and_closings_leave_nothing() -> None:
    """Half of them join, a quarter are cut; at the end the server holds what it held before."""
    async with serving(max_connections=50, max_connections_per_ip=50) as network:
        ada, bob, track = await bystanders(network)
        token = network.server.token("eve", room="lobby")
        for turn in range(1000):
            peer = await network.connect()
            if turn % 2:
                await peer.start(token)
            if turn % 4 == 3:
                peer.cut()
            else:
                await peer.ws.close()
        await eventually(lambda: len(network.server.door.connections) == 2)
        await still_fine(ada, bob, track)
        assert len(tuple(network.server.door.participants())) <= 3


async def test_a_flood_of_control_messages_ends_the_session() -> None:
    """Past the rate and its burst the close code is rate_limited."""
    async with serving(max_control_messages_per_s=10) as network:
        peer = await network.join("eve")
        for _ in range(200):
            await peer.ws.send_str('{"type":"ping","sent_at_ms":1}')
        assert await peer.closed() == 4010
