"""The hand-over of a transport from aiohttp to our own protocol, on real sockets."""

from __future__ import annotations

import asyncio
import gc

from aiohttp.web_protocol import RequestHandler

from roomtone.protocol.frames import FrameParser, encode_frame
from roomtone.protocol.messages import MAX_MESSAGE_BYTES
from tests.wire import DEADLINE_S, serving

BOTH_LOOPS = True

REQUEST = (
    "GET /v1/connect HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: roomtone.v1\r\n\r\n"
)


def _start(token: str) -> bytes:
    return encode_frame(1, b'{"type":"session_start","token":"%s"}' % token.encode(), mask=b"abcd")


async def _messages(reader: asyncio.StreamReader) -> list[tuple[int, bytes]]:
    parser = FrameParser(masked=False, max_message_bytes=1 << 20)
    async with asyncio.timeout(DEADLINE_S):
        while True:
            data = await reader.read(65_536)
            assert data, "the server closed"
            if messages := parser.feed(data):
                return messages


async def test_a_peer_that_does_not_wait_is_heard() -> None:
    """Its first message in the same segment as the request is not lost."""
    async with serving() as network:
        host = network.server.url.removeprefix("http://")
        reader, writer = await asyncio.open_connection("127.0.0.1", network.server.port)
        writer.write(REQUEST.format(host=host).encode() + _start(network.server.token("ada", room="lobby")))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
        assert b"Sec-WebSocket-Protocol: roomtone.v1\r\n" in head
        assert (await _messages(reader))[0][1].startswith(b'{"type":"session_started"')
        writer.close()
        await writer.wait_closed()


async def test_aiohttp_lets_go_of_upgraded_connections() -> None:
    """Nothing of its HTTP machinery stays behind for a joined peer, and stopping does not wait for it."""
    async with serving() as network:
        for index in range(20):
            await network.join(f"peer {index}")
        gc.collect()
        handlers = [one for one in gc.get_objects() if isinstance(one, RequestHandler)]
        assert handlers == []


async def test_a_request_on_a_kept_alive_connection_may_upgrade() -> None:
    """An HTTP request first, the upgrade second, on the same connection."""
    async with serving() as network:
        host = network.server.url.removeprefix("http://")
        reader, writer = await asyncio.open_connection("127.0.0.1", network.server.port)
        writer.write(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(REQUEST.format(host=host).encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write(_start(network.server.token("ada", room="lobby")))
        assert (await _messages(reader))[0][0] == 1
        writer.close()
        await writer.wait_closed()


async def test_a_request_that_is_too_long_for_a_message_is_not_one() -> None:
    """The frame's declared length alone closes it."""
    async with serving() as network:
        host = network.server.url.removeprefix("http://")
        reader, writer = await asyncio.open_connection("127.0.0.1", network.server.port)
        writer.write(REQUEST.format(host=host).encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x81\xff" + (MAX_MESSAGE_BYTES + 1).to_bytes(8, "big"))
        opcode, payload = (await _messages(reader))[0]
        assert (opcode, int.from_bytes(payload[:2], "big")) == (8, 1009)
        writer.close()
        await writer.wait_closed()
