"""The in-memory connection behaves as a socket does, seen from either end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from roomtone.client.memory import MemoryTransport
from roomtone.client.transport import TransportClosed
from roomtone.protocol import frames
from tests.client.rooms import until


class Peer(asyncio.Protocol):
    """The server's end: keeps what it is told."""

    def __init__(self) -> None:
        self.parser = frames.FrameParser(masked=True, max_message_bytes=1 << 20)
        self.got: list[tuple[int, bytes]] = []
        self.calls: list[str] = []
        self.transport: Any = None

    def open_connection(self, transport: asyncio.Transport, peer: str = "") -> asyncio.Protocol:
        self.connection_made(transport)
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.got += self.parser.feed(data)

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.calls.append("lost" if error is None else f"lost {type(error).__name__}")


async def test_messages_go_both_ways_in_order() -> None:
    """Text is str, audio is bytes; the client's frames are masked, the server's are not."""
    peer = Peer()
    transport = MemoryTransport(peer)
    transport.send(b'{"a":1}', binary=False)
    transport.send(b"\x01\x02", binary=True)
    assert peer.got == []  # never within the client's own call
    assert transport.buffered_bytes > 0
    await until(lambda: peer.got)
    assert peer.got == [(frames.TEXT, b'{"a":1}'), (frames.BINARY, b"\x01\x02")]
    assert transport.buffered_bytes == 0
    peer.transport.writelines([frames.text_frame("ä".encode()), frames.encode_frame(frames.BINARY, b"x")])
    assert await transport.receive() == "ä"
    assert await transport.receive() == b"x"
    transport.abort()


async def test_a_ping_is_answered() -> None:
    """As aiohttp does on a socket."""
    peer = Peer()
    transport = MemoryTransport(peer)
    peer.transport.write(frames.encode_frame(frames.PING, b"beat"))
    await until(lambda: peer.got)
    assert peer.got == [(frames.PONG, b"beat")]
    transport.abort()


async def test_a_reader_that_does_not_read_pauses_the_writer() -> None:
    """Past the high water mark the server is told to pause, and to go on when the client has read."""
    peer = Peer()
    transport = MemoryTransport(peer)
    peer.transport.set_write_buffer_limits(high=1_000)
    assert peer.transport.get_write_buffer_limits() == (250, 1_000)
    for _ in range(11):
        peer.transport.write(frames.encode_frame(frames.BINARY, bytes(100)))
    assert peer.calls == ["pause"]
    assert peer.transport.get_write_buffer_size() == 1_100
    for _ in range(9):
        await transport.receive()
    assert peer.calls == ["pause", "resume"]
    transport.abort()


async def test_a_server_that_pauses_reading_gets_nothing() -> None:
    """What the client sends meanwhile is counted as buffered, and comes when reading resumes."""
    peer = Peer()
    transport = MemoryTransport(peer)
    peer.transport.pause_reading()
    assert not peer.transport.is_reading()
    transport.send(b"x", binary=True)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (peer.got, transport.buffered_bytes > 0) == ([], True)
    peer.transport.resume_reading()
    await until(lambda: peer.got)
    transport.abort()


async def test_the_server_closes_with_a_code() -> None:
    """Messages before the close frame are still read; the code and the reason come with the end."""
    peer = Peer()
    transport = MemoryTransport(peer)
    peer.transport.write(frames.text_frame(b"last words"))
    peer.transport.write(frames.encode_close(4002, "replaced"))
    peer.transport.close()
    assert await transport.receive() == "last words"
    with pytest.raises(TransportClosed) as closed:
        await transport.receive()
    assert (closed.value.code, closed.value.reason) == (4002, "replaced")
    await until(lambda: peer.calls)
    assert peer.calls == ["lost"]
    transport.send(b"into the void", binary=True)
    await transport.close()


async def test_a_bare_end_has_no_code() -> None:
    """A server that just drops the connection has given no reason."""
    peer = Peer()
    transport = MemoryTransport(peer)
    peer.transport.abort()
    with pytest.raises(TransportClosed) as closed:
        await transport.receive()
    assert closed.value.code is None


async def test_the_client_closes_and_is_answered() -> None:
    """close() sends what was queued, then a close frame, and waits for the server to hang up."""
    peer = Peer()
    transport = MemoryTransport(peer)
    transport.send(b"x", binary=True)
    closing = asyncio.create_task(transport.close(1000))
    await until(lambda: len(peer.got) == 2)
    assert [opcode for opcode, _ in peer.got] == [frames.BINARY, frames.CLOSE]
    assert not closing.done()
    peer.transport.close()
    await closing
    assert peer.calls == ["lost"] or peer.calls == []


async def test_a_cut_is_told_to_the_server_as_a_lost_connection() -> None:
    """abort() looks like a broken cable from both ends."""
    peer = Peer()
    transport = MemoryTransport(peer)
    transport.abort()
    with pytest.raises(TransportClosed):
        await transport.receive()
    await until(lambda: peer.calls)
    assert peer.calls == ["lost ConnectionResetError"]
    assert peer.transport.is_closing()
    peer.transport.write(b"ignored")


async def test_a_server_that_breaks_the_framing_is_left() -> None:
    """Masked frames from a server are an error of RFC 6455; what came before is still delivered."""
    peer = Peer()
    transport = MemoryTransport(peer)
    good = frames.text_frame(b"good")
    peer.transport.write(good + frames.encode_frame(frames.TEXT, b"bad", b"mask"))
    assert await transport.receive() == "good"
    with pytest.raises(TransportClosed) as closed:
        await transport.receive()
    assert closed.value.code == 1002
