from __future__ import annotations

import asyncio
import datetime
import io
import random
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from roomtone.sources.cancel import CancelToken
from roomtone.sources.errors import Cancelled, SourceError
from roomtone.sources.http import HttpOptions, HttpStream, _content_range
from roomtone.sources.policy import SourcePolicy
from tests.sources.web import LOOPBACK_ONE, serving

DATA = random.Random(1).randbytes(300_000)
QUICK = HttpOptions(connect_s=2, read_s=2, retries=2, retry_delay_s=0.01)


def read_all(stream: HttpStream, step: int = 10_000) -> bytes:
    parts = []
    while part := stream.read(step):
        parts.append(part)
    return b"".join(parts)


def fetch(url: str, policy: SourcePolicy = LOOPBACK_ONE) -> tuple[bytes, HttpStream]:
    """All of a URL, read in the calling thread, and the stream, closed."""
    stream = HttpStream(url, policy, CancelToken(), QUICK)
    try:
        stream.open()
        return read_all(stream), stream
    finally:
        stream.close()


async def fault_of(url: str, policy: SourcePolicy = LOOPBACK_ONE) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await asyncio.to_thread(fetch, url, policy)
    return caught.value


@pytest.mark.parametrize("kind", ["ranged", "plain", "live"])
async def test_a_url_is_read_to_its_end(kind: str) -> None:
    """With ranges, with a length only, and in chunks without a length."""
    async with serving({"x": DATA}) as site:
        data, stream = await asyncio.to_thread(fetch, site.url(f"{kind}/x"))
    assert data == DATA
    assert stream.failure is None
    assert stream.reconnects == 0


async def test_a_name_is_looked_up_once_and_its_checked_address_connected_to() -> None:
    """The name is in the Host header; a resolver that would answer otherwise the next time is not asked again."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    policy = SourcePolicy(allow_networks=LOOPBACK_ONE.allow_networks, resolver=lambda host, port: next(answers))
    async with serving({"x": DATA}) as site:
        data, _ = await asyncio.to_thread(fetch, site.url("plain/x", "radio.example"), policy)
        assert site.hosts == [f"radio.example:{site.port}"]
    assert data == DATA
    assert next(answers) == ["10.0.0.1"]


async def test_a_rebound_name_is_refused_when_a_range_asks_again() -> None:
    """A seek makes a new connection, and its address is checked anew."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    policy = SourcePolicy(allow_networks=LOOPBACK_ONE.allow_networks, resolver=lambda host, port: next(answers))

    def work(url: str) -> HttpStream:
        stream = HttpStream(url, policy, CancelToken(), QUICK)
        stream.open()
        stream.seek(200_000)
        assert stream.read(10) == b""
        stream.close()
        return stream

    async with serving({"x": DATA}) as site:
        stream = await asyncio.to_thread(work, site.url("ranged/x", "radio.example"))
    assert isinstance(stream.failure, SourceError)
    assert stream.failure.fault == "refused"


async def test_the_next_address_is_tried_where_the_first_is_dead() -> None:
    """A name with several addresses works while one of them does."""
    policy = SourcePolicy(allow_private_addresses=True, resolver=lambda host, port: ["::1", "127.0.0.1"])
    async with serving({"x": DATA}) as site:
        data, _ = await asyncio.to_thread(fetch, site.url("plain/x", "radio.example"), policy)
    assert data == DATA


async def test_redirects_are_followed_and_each_is_checked() -> None:
    """To a public place yes, relative ones too; to another loopback address, protocol or nowhere no."""
    async with serving({"x": DATA}) as site:
        data, _ = await asyncio.to_thread(fetch, site.url("redirect?to=/plain/x"))
        assert data == DATA
        for to, fault in [
            (f"http://127.0.0.2:{site.port}/plain/x", "refused"),
            (f"http://[::ffff:127.0.0.2]:{site.port}/plain/x", "refused"),
            ("http://169.254.169.254/latest/meta-data", "refused"),
            ("file:///etc/passwd", "refused"),
            (f"http://user:pass@127.0.0.1:{site.port}/plain/x", "refused"),
            ("", "http_status"),
        ]:
            error = await fault_of(site.url(f"redirect?to={to}"))
            assert error.fault == fault, to
        assert site.hits["x"] == 1


async def test_a_circle_of_redirects_ends() -> None:
    """After five."""
    async with serving({}) as site:
        error = await fault_of(site.url("redirect?to=/redirect?to=/redirect"))
        assert error.fault == "http_status"
        loop = site.url("redirect?to=" + "%2Fredirect%3Fto%3D" * 8 + "x")
        site.hits.clear()
        assert (await fault_of(loop)).fault == "http_status"
        assert site.hits["redirect"] == 6


async def test_what_cannot_be_fetched_says_why() -> None:
    """404, nobody listening, a range of an empty file; the query, which may hold a secret, is not shown."""
    async with serving({"empty": b""}) as site:
        missing = await fault_of(site.url("plain/nothing?token=secret"))
        assert missing.fault == "http_status"
        assert "404" in str(missing)
        assert "secret" not in str(missing)
        assert (await fault_of(site.url("ranged/empty"))).fault == "empty"
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x"
        assert (await fault_of(url)).fault == "unreachable"


async def test_a_broken_connection_is_continued_by_a_range() -> None:
    """Byte for byte, however often it breaks, as long as there is progress."""
    async with serving({"x": DATA}) as site:
        data, stream = await asyncio.to_thread(fetch, site.url("flaky/x"))
        assert site.hits["x"] == 3 + (len(DATA) % 3 > 0)
    assert data == DATA
    assert stream.failure is None
    assert stream.reconnects == site.hits["x"] - 1


@pytest.mark.parametrize(("kind", "hits"), [("dying", 1), ("dying_for_good", 1 + QUICK.retries)])
async def test_a_url_that_dies_midway_ends_with_a_failure(kind: str, hits: int) -> None:
    """What came is given; then the failure says how far it got, after the retries where they can help."""
    async with serving({"x": DATA}) as site:
        data, stream = await asyncio.to_thread(fetch, site.url(f"{kind}/x"))
        assert site.hits["x"] == hits
    assert data == DATA[: len(DATA) // 2]
    assert isinstance(stream.failure, SourceError)
    assert stream.failure.fault == "died_midway"
    assert str(len(data)) in str(stream.failure)


async def test_seeking_reads_the_right_bytes() -> None:
    """A short hop forward on the same connection, a far one and one back by new ranges."""

    def work(url: str) -> None:
        stream = HttpStream(url, LOOPBACK_ONE, CancelToken(), QUICK)
        stream.open()
        assert stream.seekable()
        for offset in (0, 10, 5_000, 250_000, 249_000, 0, len(DATA) - 7):
            assert stream.seek(offset) == offset
            got = stream.read(7)
            assert got == DATA[offset : offset + len(got)]
            assert got
            assert stream.tell() == offset + len(got)
        assert stream.seek(-3, io.SEEK_END) == len(DATA) - 3
        assert read_all(stream) == DATA[-3:]
        assert stream.seek(5, io.SEEK_END) == len(DATA) + 5
        assert stream.read(1) == b""
        stream.close()

    async with serving({"x": DATA}) as site:
        await asyncio.to_thread(work, site.url("ranged/x"))


async def test_a_stream_without_ranges_cannot_seek() -> None:
    """And says so, instead of reading from the wrong place."""

    def work(url: str) -> None:
        stream = HttpStream(url, LOOPBACK_ONE, CancelToken(), QUICK)
        stream.open()
        assert not stream.seekable()
        with pytest.raises(OSError, match="another place"):
            stream.seek(10)
        stream.close()

    async with serving({"x": DATA}) as site:
        await asyncio.to_thread(work, site.url("plain/x"))
        await asyncio.to_thread(work, site.url("live/x"))


@pytest.mark.parametrize("kind", ["hanging", "mute"])
async def test_cancelling_wakes_a_reader_that_hangs(kind: str) -> None:
    """Out of recv, before the first byte or in the middle; the socket goes with it."""
    token = CancelToken()

    def work(url: str) -> None:
        stream = HttpStream(url, LOOPBACK_ONE, token, HttpOptions(read_s=30))
        try:
            stream.open()
            read_all(stream)
            if stream.failure is not None:
                raise stream.failure
        finally:
            stream.close()

    async with serving({"x": DATA}) as site:
        reading = asyncio.ensure_future(asyncio.to_thread(work, site.url(f"{kind}/x")))
        await asyncio.wait_for(site.asked.wait(), 5)
        token.cancel()
        with pytest.raises(Cancelled):
            await asyncio.wait_for(reading, 2)


def test_content_ranges() -> None:
    """Only byte ranges with a start count."""
    assert _content_range("bytes 5-9/10") == (5, 10)
    assert _content_range("bytes 5-9/*") == (5, None)
    for text in ("", "bytes */10", "items 5-9/10", "bytes -5/10", "bytes ²-9/10"):
        assert _content_range(text)[0] == -1


def _certificate(path: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for `name` and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = path / "cert.pem", path / "key.pem"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_path, key_path


async def test_tls_is_checked_for_the_name_though_an_address_is_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The certificate must be trusted and must be for the URL's name, which the server is told (SNI)."""
    certificate, key = _certificate(tmp_path, "radio.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    named: list[str | None] = []
    context.sni_callback = lambda sock, name, ctx: named.append(name)
    policy = SourcePolicy(allow_networks=LOOPBACK_ONE.allow_networks, resolver=lambda host, port: ["127.0.0.1"])
    async with serving({"x": DATA}, tls=context) as site:
        secure = site.url("ranged/x", "radio.example").replace("http:", "https:")
        assert (await fault_of(secure, policy)).fault == "unreachable"
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        data, _ = await asyncio.to_thread(fetch, secure, policy)
        assert data == DATA
        assert named == ["radio.example"] * 2
        other = secure.replace("radio.example", "other.example")
        assert (await fault_of(other, policy)).fault == "unreachable"
