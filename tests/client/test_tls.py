"""Over TLS, with a certificate that only the caller's own authority knows."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import roomtone
from tests.client.rooms import DEADLINE_S, chirp, hear, likeness, pcm_chunks, serving


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "roomtone test")])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "cert.pem", folder / "key.pem"
    chain.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, private


async def test_voice_over_tls(tmp_path: Path) -> None:
    """Two clients and the HTTP API trust it when told to; without, the error says what is wrong."""
    chain, private = certificate(tmp_path)
    trusted = ssl.create_default_context(cafile=chain)
    async with serving(tls_cert=chain, tls_key=private) as server:
        assert server.url.startswith("https://")
        tokens = [server.token(name, room="lobby") for name in ("ada", "bob")]
        async with (
            roomtone.connect(server.url, tokens[0], tls=trusted) as ada,
            roomtone.connect(server.url.replace("https", "wss"), tokens[1], tls=trusted) as bob,
        ):
            await ada.publish(pcm_chunks(chirp(0.5)))
            assert likeness(await hear(await bob.next_track(DEADLINE_S), 0.7), chirp(0.5)) > 0.8
            token = server.token("operator", room="*", grants={"room_create": True})
            async with roomtone.ServerApi(server.url, token, tls=trusted) as api:
                assert [room["name"] for room in await api.rooms()] == ["lobby"]
        with pytest.raises(roomtone.ServerUnreachable, match=r"(?i)certificate"):
            await roomtone.connect(server.url, tokens[0]).join()
