"""A client with nothing of ours in it but the message types: what a stranger would write from the docs."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import aiohttp
import msgspec

from roomtone.media.packet import Packet
from roomtone.server.app import Server
from tests.free import everything_fits, everything_is_free

DEADLINE_S = 10.0


async def eventually(condition: Callable[[], bool], what: str = "it") -> None:
    """Wait until `condition` holds; fails after DEADLINE_S."""
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, f"{what} did not happen in {DEADLINE_S:g} s"
        await asyncio.sleep(0)


class Peer:
    """One raw WebSocket to a server under test."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.started: dict[str, Any] = {}
        self.received = 0
        self.texts: list[dict[str, Any]] = []
        self._commands = 0

    async def say(self, kind: str, **fields: Any) -> None:
        """Send one message without a command id."""
        await self.ws.send_str(msgspec.json.encode({"type": kind, **fields}).decode())

    async def command(self, kind: str, **fields: Any) -> int:
        """Send one command; its id."""
        self._commands += 1
        await self.say(kind, command_id=self._commands, **fields)
        return self._commands

    async def start(self, token: str, **fields: Any) -> dict[str, Any]:
        """session_start, and what it is answered with."""
        await self.say("session_start", token=token, **fields)
        self.started = await self.text("session_started")
        return self.started

    async def next(self) -> dict[str, Any] | Packet | int:
        """A control message, a packet, or the close code."""
        async with asyncio.timeout(DEADLINE_S):
            message = await self.ws.receive()
        if message.type == aiohttp.WSMsgType.TEXT:
            return dict(msgspec.json.decode(message.data))
        if message.type == aiohttp.WSMsgType.BINARY:
            self.received += 1
            return Packet.decode(message.data)
        return int(self.ws.close_code or 1006)

    async def text(self, kind: str, **having: Any) -> dict[str, Any]:
        """The next control message of this kind with these fields; others are skipped."""
        while True:
            message = await self.next()
            assert not isinstance(message, int), f"closed with {message} while waiting for {kind}"
            if isinstance(message, dict) and message["type"] == kind and having.items() <= message.items():
                return message

    async def packet(self) -> Packet:
        """The next audio frame; control messages are skipped."""
        while True:
            message = await self.next()
            assert not isinstance(message, int), f"closed with {message} while waiting for audio"
            if isinstance(message, Packet):
                return message

    async def closed(self) -> int:
        """The code with which the server closes; everything before it is skipped."""
        while True:
            message = await self.next()
            if isinstance(message, int):
                return message

    async def open_track(self, **fields: Any) -> int:
        """A track's id."""
        command = await self.command("track_open", **fields)
        return int((await self.text("track_opened", command_id=command))["track"]["track"])

    async def publish(self, packet: Packet) -> None:
        """One audio frame."""
        await self.ws.send_bytes(packet.data)

    def cut(self) -> None:
        """The network is gone: no close frame, the socket is reset."""
        connection = self.ws._conn  # aiohttp shows no public way to a client's transport
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()


class Network:
    """Peers of one server, closed together."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._peers: list[Peer] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(peer.ws.close() for peer in self._peers))
        await self._session.close()

    async def connect(self, **kwargs: Any) -> Peer:
        """A WebSocket that has said nothing yet."""
        kwargs.setdefault("protocols", ("roomtone.v1",))
        peer = Peer(await self._session.ws_connect(f"{self.server.url}/v1/connect", **kwargs))
        self._peers.append(peer)
        return peer

    async def join(
        self, identity: str, room: str = "lobby", *, start: dict[str, Any] | None = None, **token: Any
    ) -> Peer:
        """A peer that sits in a room."""
        peer = await self.connect()
        await peer.start(self.server.token(identity, room=room, **token), **(start or {}))
        return peer


@contextlib.asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Network]:
    """A development server on a free port, and a way to it."""
    defaults: dict[str, Any] = {"dev": True, "port": 0, "drain_timeout_s": 0}
    async with Server(**(defaults | settings)) as server:
        async with Network(server) as network:
            yield network
            everything_fits(server)
        everything_fits(server)
    everything_is_free(server)


def small_receive_buffer() -> socket.socket:
    """A socket whose kernel buffer holds little: otherwise a reader that never reads is not seen to be stuck."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return sock
