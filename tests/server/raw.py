"""A peer that writes bytes, right or wrong ones."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

from roomtone.protocol.frames import CLOSE, FrameParser, encode_frame
from roomtone.server.app import Server
from tests.wire import DEADLINE_S

REQUEST = (
    "GET /v1/connect HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Raw:
    """One TCP connection whose handshake is done."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._parser = FrameParser(masked=False, max_message_bytes=1 << 21)
        self._messages: list[tuple[int, bytes]] = []

    @classmethod
    async def connect(cls, server: Server) -> Self:
        """It has said nothing yet."""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(REQUEST.format(host=f"127.0.0.1:{server.port}").encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        return cls(reader, writer)

    @classmethod
    async def join(cls, server: Server, identity: str, room: str = "lobby") -> Self:
        """It sits in a room."""
        raw = await cls.connect(server)
        token = server.token(identity, room=room).encode()
        raw.write((1, b'{"type":"session_start","token":"%s"}' % token))
        assert b"session_started" in (await raw.message())[1]
        return raw

    def write(self, *messages: tuple[int, bytes]) -> None:
        """Frames in one segment."""
        self.writer.write(b"".join(encode_frame(opcode, payload, b"abcd") for opcode, payload in messages))

    async def message(self) -> tuple[int, bytes]:
        """The next message or control frame; EOFError where the connection ends."""
        async with asyncio.timeout(DEADLINE_S):
            while not self._messages:
                data = await self.reader.read(65_536)
                if not data:
                    raise EOFError
                self._messages += self._parser.feed(data)
        return self._messages.pop(0)

    async def closed(self) -> int:
        """The code of the server's close frame; everything before it is skipped."""
        while True:
            opcode, payload = await self.message()
            if opcode == CLOSE:
                return int.from_bytes(payload[:2], "big")

    async def end(self) -> None:
        """Let go of the socket."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
