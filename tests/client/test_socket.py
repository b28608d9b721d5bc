"""One WebSocket of ours against a server of aiohttp's, which can be made to misbehave."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import WSMsgType, web

from roomtone.client.socket import SocketConnector, SocketTransport
from roomtone.client.transport import TransportClosed
from roomtone.protocol import frames
from tests.client.rooms import until

Handler = Callable[[web.WebSocketResponse, web.Request], Awaitable[None]]


@contextlib.asynccontextmanager
async def connected(handler: Handler) -> AsyncIterator[SocketTransport]:
    """A transport to a server that does what `handler` says."""

    async def serve(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(protocols=("roomtone.v1",))
        await websocket.prepare(request)
        await handler(websocket, request)
        return websocket

    app = web.Application()
    app.router.add_get("/v1/connect", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    connector = SocketConnector(f"http://127.0.0.1:{runner.addresses[0][1]}")
    try:
        transport = await connector.open(None)
        try:
            yield transport
        finally:
            transport.abort()
            await transport.close()
    finally:
        await connector.close()
        await runner.cleanup()


async def test_messages_go_both_ways_in_order() -> None:
    """Text is str, audio is bytes, and what was sent before close() arrives before the close frame."""
    got: list[tuple[WSMsgType, object]] = []

    async def echo(websocket: web.WebSocketResponse, request: web.Request) -> None:
        await websocket.send_str("hello")
        await websocket.send_bytes(b"\x11")
        async for message in websocket:
            got.append((message.type, message.data))

    async with connected(echo) as transport:
        assert await transport.receive() == "hello"
        assert await transport.receive() == b"\x11"
        for number in range(100):
            transport.send(bytes([number]), binary=True)
        transport.send(b"{}", binary=False)
        await transport.close()
        await until(lambda: len(got) == 101)
        assert got[-1] == (WSMsgType.TEXT, "{}")
        assert [data for _, data in got[:100]] == [bytes([number]) for number in range(100)]
        transport.send(b"late", binary=True)
        assert transport.buffered_bytes == 0


async def test_the_close_code_is_told() -> None:
    """With its reason, where the server gave one."""

    async def removed(websocket: web.WebSocketResponse, request: web.Request) -> None:
        await websocket.close(code=4003, message=b"out")

    async with connected(removed) as transport:
        with pytest.raises(TransportClosed) as closed:
            await transport.receive()
        assert (closed.value.code, closed.value.reason) == (4003, "out")


@pytest.mark.parametrize("how", ["reset", "end of stream"])
async def test_a_vanished_connection_has_no_code(how: str) -> None:
    """Neither a reset nor a bare end of the stream is a goodbye."""

    async def vanish(websocket: web.WebSocketResponse, request: web.Request) -> None:
        assert request.transport is not None
        if how == "reset":
            request.transport.abort()
        else:
            request.transport.close()

    async with connected(vanish) as transport:
        with pytest.raises(TransportClosed) as closed:
            await transport.receive()
        assert closed.value.code is None


@pytest.mark.parametrize("garbage", [frames.encode_frame(frames.TEXT, b"\xff"), b"\xf1\x01x"])
async def test_broken_framing_is_a_fault_of_the_server(garbage: bytes) -> None:
    """Text that is not UTF-8, reserved bits: the code says that coming back is no use."""

    async def babble(websocket: web.WebSocketResponse, request: web.Request) -> None:
        assert request.transport is not None
        request.transport.write(garbage)
        async for _ in websocket:
            pass

    async with connected(babble) as transport:
        with pytest.raises(TransportClosed) as closed:
            await transport.receive()
        assert closed.value.code == 1002


async def test_a_stuck_peer_shows_in_the_buffer_and_is_left_in_time() -> None:
    """What the kernel takes no more is counted; close() does not wait for it for ever."""
    stuck = asyncio.Event()

    async def sleep(websocket: web.WebSocketResponse, request: web.Request) -> None:
        assert request.transport is not None
        request.transport.pause_reading()
        await stuck.wait()

    async with connected(sleep) as transport:
        chunk = bytes(60_000)
        async with asyncio.timeout(10):
            while transport.buffered_bytes < 1_000_000:
                transport.send(chunk, binary=True)
                await asyncio.sleep(0)
        async with asyncio.timeout(8):
            await transport.close()
        stuck.set()
