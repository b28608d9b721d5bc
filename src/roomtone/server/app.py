"""The server: HTTP and WebSocket on one port, and everything that has to be started and stopped with it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import structlog
from aiohttp import web

from roomtone.participants.websocket_connection import CLOSE_TIMEOUT_S, WebSocketConnection
from roomtone.protocol import messages
from roomtone.protocol.close_codes import GOING_AWAY
from roomtone.protocol.errors import HandshakeError
from roomtone.protocol.handshake import check_upgrade
from roomtone.room.directory import Directory
from roomtone.room.grants import Grants
from roomtone.server.access import host_allowed, origin_allowed
from roomtone.server.auth import Keyring, mint
from roomtone.server.config import Config, is_loopback
from roomtone.server.door import Door
from roomtone.server.problems import problem_response, problems_middleware
from roomtone.server.spreader import Spreader
from roomtone.server.sweeper import Sweeper
from roomtone.server.upgrade import hand_over

log = structlog.get_logger(__name__)

MAX_BODY_BYTES: Final = 65_536
"""An HTTP API request's body."""


def _new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(8)}"


class Server:
    """One Roomtone server in this process.

    ::

        async with Server(dev=True, port=0) as server:
            print(server.url, server.token("ada", room="lobby"))

    Takes a Config, or the Config's fields as keyword arguments. Raises pydantic.ValidationError and ValueError
    for settings that make no sense, OSError where the port is taken.
    """

    def __init__(self, config: Config | None = None, **settings: Any) -> None:
        if config is not None and settings:
            raise TypeError("give a Config or its fields, not both")
        self.config = config if config is not None else Config(**settings)
        self._keys = self.config.trusted_keys()
        self.keyring = Keyring(self._keys)
        self._runner: web.AppRunner | None = None
        self._port = self.config.port
        self._stopping: asyncio.Task[None] | None = None

    # --- life -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. What was started is stopped again where this fails."""
        from roomtone.server.api import add_api_routes  # the API needs Server's type
        from roomtone.server.streams import Streams

        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self.started_at = loop.time()
        self._gone = asyncio.Event()
        self.spreader = Spreader(loop)
        self.rooms = Directory(ids=_new_id, max_rooms=self.config.max_rooms, spread=self.spreader)
        self.door = Door(self.config, self.keyring, self.rooms, new_token=lambda: secrets.token_urlsafe(24))
        self.streams = Streams(self)
        self._sweeper = Sweeper(loop, self._tick)
        app = web.Application(middlewares=[problems_middleware, self._check_access], client_max_size=MAX_BODY_BYTES)
        app.router.add_get(messages.PATH, self._connect)
        add_api_routes(app, self)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(
            self._runner,
            self.config.host,
            self.config.port,
            ssl_context=self._tls(),
            backlog=1024,
            reuse_address=True,
        )
        try:
            await site.start()
        except OSError:
            await self._runner.cleanup()
            self._runner = None
            raise
        self._port = self._runner.addresses[0][1]
        self._sweeper.start()
        log.info("listening", url=self.url)

    async def stop(self) -> None:
        """Announce, wait for the sessions to end (at most drain_timeout_s), close what is left. Idempotent."""
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        if self._runner is None:
            return
        door = self.door
        door.closing = True
        log.info("draining", connections=len(door.connections))
        await self.streams.close()
        for participant in door.participants():
            participant.send(messages.Draining(deadline_ms=round(self.config.drain_timeout_s * 1000)))
        await self._all_gone(self.config.drain_timeout_s)
        for connection in tuple(door.connections):
            connection.close(GOING_AWAY)
        await self._all_gone(CLOSE_TIMEOUT_S)
        for connection in tuple(door.connections):
            connection.abort()
        await self._all_gone(CLOSE_TIMEOUT_S)
        now = self._clock()
        for room in tuple(self.rooms):
            self.rooms.delete(room.name, now)
        self._sweeper.stop()
        runner, self._runner = self._runner, None
        await runner.cleanup()
        log.info("stopped")

    async def _all_gone(self, timeout_s: float) -> None:
        """Wait until no connection is left, or for `timeout_s`."""
        if self.door.connections:
            self._gone.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._gone.wait()

    def _tls(self) -> ssl.SSLContext | None:
        if self.config.tls_cert is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.config.tls_cert, self.config.tls_key)
        return context

    # --- what users ask -------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port it listens on; with port=0 known after start()."""
        return self._port

    @property
    def url(self) -> str:
        """http(s)://host:port, as a client on this machine reaches it."""
        host = self.config.host
        if host in ("0.0.0.0", "::", ""):
            host = "127.0.0.1"
        if ":" in host:
            host = f"[{host}]"
        scheme = "http" if self.config.tls_cert is None else "https"
        return f"{scheme}://{host}:{self._port}"

    @property
    def is_draining(self) -> bool:
        """stop() was called."""
        return self.door.closing

    def token(
        self,
        identity: str,
        *,
        room: str | None = None,
        name: str = "",
        metadata: str = "",
        grants: Grants | Mapping[str, bool] | None = None,
        ttl_s: float = 3600,
    ) -> str:
        """A token signed with the first HS256 key; see auth.mint. Raises ValueError where there is none."""
        for key in self._keys:
            if key.algorithm == "HS256":
                return mint(key, identity, room=room, name=name, metadata=metadata, grants=grants, ttl_s=ttl_s)
        raise ValueError("this server knows public keys only: sign the token where the private key is")

    def open_connection(self, transport: asyncio.Transport, peer: str = "memory") -> WebSocketConnection:
        """Serve a WebSocket whose handshake is done (or was never needed) over `transport`."""
        connection = WebSocketConnection(_Counted(self), self._clock, peer)
        self.door.connection_opened(connection)
        self._sweeper.add(connection)
        connection.connection_made(transport)
        return connection

    # --- inside ---------------------------------------------------------------------------------------------

    def _tick(self, now: float) -> None:
        self.rooms.tick(now)

    @web.middleware
    async def _check_access(self, request: web.Request, handler: Any) -> web.StreamResponse:
        host = request.headers.get("Host")
        loopback_only = is_loopback(self.config.host)
        if not host_allowed(host, self.config.allowed_hosts, loopback_only=loopback_only):
            return problem_response(421, "host_not_allowed", f"this server does not answer to the host {host!r}")
        origin = request.headers.get("Origin")
        if not origin_allowed(origin, host, self.config.allowed_origins):
            return problem_response(403, "origin_not_allowed", f"pages of {origin!r} may not use this server")
        response: web.StreamResponse = await handler(request)
        return response

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        try:
            upgrade = check_upgrade(request.method, request.headers)
        except HandshakeError as error:
            return problem_response(error.status, "not_a_websocket", error.message, headers=error.headers)
        peer = request.remote or "unknown"
        reason = self.door.refusal(peer)
        if reason is not None:
            return problem_response(503, reason, "no further connection is taken now", headers={"Retry-After": "5"})
        connection = WebSocketConnection(_Counted(self), self._clock, peer)
        response = hand_over(request, upgrade.response, connection)
        self.door.connection_opened(connection)
        self._sweeper.add(connection)
        return response


class _Counted:
    """The door, as connections see it: also takes them off the sweeper's list."""

    def __init__(self, server: Server) -> None:
        self._sweeper = server._sweeper
        self._gone = server._gone
        self._door = server.door
        self.new_session = server.door.new_session
        self.admit = server.door.admit
        self.count_error = server.door.count_error

    def connection_closed(self, connection: WebSocketConnection, name: str) -> None:
        self._sweeper.discard(connection)
        self._door.connection_closed(connection, name)
        if not self._door.connections:
            self._gone.set()
