"""Joining a server without a socket: the same WebSocket bytes, carried through memory.

For users' tests: `roomtone.connect(server, token)` with a `Server` in the same event loop. Only the kernel is
left out; the protocol, the limits and the backpressure are those of a real connection.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Protocol

from roomtone.client.transport import TransportClosed
from roomtone.protocol import frames
from roomtone.protocol.close_codes import WEBSOCKET_ERROR
from roomtone.protocol.errors import ProtocolError
from roomtone.protocol.messages import MAX_MESSAGE_BYTES

CLOSE_TIMEOUT_S: Final = 2.0

_HIGH_WATER_BYTES: Final = 65_536
_LOW_WATER_BYTES: Final = 16_384
_MAX_RECEIVED_BYTES: Final = 16 * MAX_MESSAGE_BYTES


class InMemoryServer(Protocol):
    """What a Server offers to clients in its own event loop."""

    def open_connection(self, transport: asyncio.Transport, peer: str = ...) -> asyncio.Protocol:
        """Seat a WebSocket connection on `transport`; connection_made was called when this returns."""


class _ServerEnd(asyncio.Transport):
    """What the server believes to be its TCP transport."""

    def __init__(self, link: MemoryTransport) -> None:
        super().__init__()
        self._link = link
        self._high = _HIGH_WATER_BYTES
        self._low = _LOW_WATER_BYTES
        self._unread_bytes = 0
        self._write_paused = False
        self._closing = False
        self.protocol: asyncio.BaseProtocol | None = None
        self.reading_paused = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._closing:
            return
        self._link.arrived(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        self.write(b"".join(list_of_data))

    def close(self) -> None:
        self._end(None)

    def abort(self) -> None:
        self._end(None)

    def is_closing(self) -> bool:
        return self._closing

    def can_write_eof(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self.protocol is not None
        return self.protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def is_reading(self) -> bool:
        return not self.reading_paused and not self._closing

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False
        self._link.flush_soon()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = _HIGH_WATER_BYTES if high is None else high
        self._low = self._high // 4 if low is None else low

    def get_write_buffer_size(self) -> int:
        return self._unread_bytes

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def account(self, change: int) -> None:
        """The client has so many more or fewer bytes waiting: pause or resume the writing protocol."""
        self._unread_bytes += change
        protocol = self.protocol
        if protocol is None or self._closing:
            return
        if not self._write_paused and self._unread_bytes > self._high:
            self._write_paused = True
            protocol.pause_writing()
        elif self._write_paused and self._unread_bytes <= self._low:
            self._write_paused = False
            protocol.resume_writing()

    def _end(self, error: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        self._link.server_closed()
        asyncio.get_running_loop().call_soon(self._tell_protocol, error)

    def _tell_protocol(self, error: Exception | None) -> None:
        if self.protocol is not None:
            self.protocol.connection_lost(error)

    def cut(self) -> None:
        """End without a close frame, as seen from the server."""
        self._end(ConnectionResetError("the in-memory connection was cut"))


class MemoryTransport:
    """The client's end. A ping is answered here, as aiohttp does on a socket."""

    def __init__(self, server: InMemoryServer, peer: str = "memory") -> None:
        self._loop = asyncio.get_running_loop()
        self._parser = frames.FrameParser(masked=False, max_message_bytes=_MAX_RECEIVED_BYTES)
        self._inbox: deque[bytes | str] = deque()
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._flushing = False
        self._readable = asyncio.Event()
        self._gone = asyncio.Event()
        self._end: TransportClosed | None = None
        self._server_end = _ServerEnd(self)
        protocol = server.open_connection(self._server_end, peer=peer)
        # The server may already have handed its transport to another protocol.
        self._server_end.protocol = protocol

    def send(self, data: bytes, *, binary: bool) -> None:
        """See Transport.send."""
        self._send_frame(frames.BINARY if binary else frames.TEXT, data)

    @property
    def buffered_bytes(self) -> int:
        """See Transport.buffered_bytes."""
        return self._outbox_bytes

    async def receive(self) -> bytes | str:
        """See Transport.receive."""
        while not self._inbox:
            if self._end is not None:
                raise self._end
            self._readable.clear()
            await self._readable.wait()
        message = self._inbox.popleft()
        self._server_end.account(-len(message))
        return message

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """See Transport.close."""
        if self._end is None:
            self._flush()
            self._outbox.append(frames.encode_close(code, reason, os.urandom(4)))
            self._flush()
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._gone.wait()
            except TimeoutError:
                pass
        self.abort()

    def abort(self) -> None:
        """See Transport.abort."""
        self._finish(TransportClosed(None))
        self._server_end.cut()

    def arrived(self, data: bytes) -> None:
        """Bytes from the server."""
        if self._end is not None:
            return
        try:
            for opcode, payload in self._parser.feed(data):
                self._take(opcode, payload)
        except (ProtocolError, UnicodeDecodeError) as error:
            self._fail(error)
        if self._parser.error is not None:
            self._fail(self._parser.error)

    def server_closed(self) -> None:
        """The server closed its transport."""
        self._finish(TransportClosed(None))

    def flush_soon(self) -> None:
        """Hand the server what was sent, later: a server never runs inside a client's call."""
        if not self._flushing and self._end is None:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.PING:
            self._send_frame(frames.PONG, payload)
        elif opcode == frames.CLOSE:
            code, reason = frames.parse_close(payload)
            self._send_frame(frames.CLOSE, payload[:2])
            self._flush_then_finish(TransportClosed(None if code == frames.NO_STATUS else code, reason))
        elif opcode in (frames.TEXT, frames.BINARY):
            message: bytes | str = payload if opcode == frames.BINARY else payload.decode()
            self._inbox.append(message)
            self._server_end.account(len(message))
            self._readable.set()

    def _fail(self, error: Exception) -> None:
        self._flush_then_finish(TransportClosed(WEBSOCKET_ERROR.code, str(error)))
        self._server_end.cut()

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        if self._end is not None:
            return
        frame = frames.encode_frame(opcode, payload, os.urandom(4))
        self._outbox.append(frame)
        self._outbox_bytes += len(frame)
        self.flush_soon()

    def _flush(self) -> None:
        self._flushing = False
        protocol = self._server_end.protocol
        while self._outbox and not self._server_end.reading_paused and not self._server_end.is_closing():
            frame = self._outbox.popleft()
            self._outbox_bytes = max(0, self._outbox_bytes - len(frame))
            assert isinstance(protocol, asyncio.Protocol)
            protocol.data_received(frame)

    def _flush_then_finish(self, end: TransportClosed) -> None:
        # The answer to a close frame still has to reach the server, after the write() that brought the frame.
        self._loop.call_soon(self._flush)
        self._finish(end)

    def _finish(self, end: TransportClosed) -> None:
        if self._end is None:
            self._end = end
        self._readable.set()
        self._gone.set()


class MemoryConnector:
    """Opens in-memory connections to one server."""

    def __init__(self, server: InMemoryServer) -> None:
        self._server = server
        self.transport: MemoryTransport | None = None

    async def open(self, url: str | None) -> MemoryTransport:
        """See Connector.open; a `url` to come back to is ignored, for there is only this server."""
        del url
        self.transport = MemoryTransport(self._server)
        return self.transport

    async def close(self) -> None:
        """See Connector.close."""
