"""The server: HTTP and WebSocket on one port, and everything that has to be started and stopped with it."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from roomtone.logs import get_logger
from roomtone.participants.websocket import WebSocketParticipant
from roomtone.participants.websocket_connection import CLOSE_TIMEOUT_S, WebSocketConnection
from roomtone.participants.websocket_intake import Intake
from roomtone.protocol import messages
from roomtone.protocol.close_codes import GOING_AWAY
from roomtone.protocol.errors import HandshakeError
from roomtone.protocol.handshake import check_upgrade
from roomtone.protocol.server import ServerSession
from roomtone.room.directory import Directory
from roomtone.room.grants import Grants
from roomtone.server.access import client_address, host_allowed, is_loopback, origin_allowed
from roomtone.server.auth import Keyring, mint
from roomtone.server.config import Config
from roomtone.server.door import Door
from roomtone.server.errands import Errands
from roomtone.server.problems import problem_response, problems_middleware
from roomtone.server.spreader import Spreader
from roomtone.server.sweeper import Sweeper
from roomtone.server.upgrade import hand_over

log = get_logger(__name__)

KEEPALIVE_TIMEOUT_S: Final = 30.0
"""An HTTP connection that sends no whole request head for so long is closed."""
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
        self._proxies = [ipaddress.ip_network(one) for one in self.config.trusted_proxies]

    # --- life -----------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. What was started is stopped again where this fails. RuntimeError when it runs already."""
        from roomtone.server.api import add_api_routes  # the API needs Server's type
        from roomtone.server.streams import Streams

        if self._runner is not None:
            raise RuntimeError("the server has been started already")
        tls = self._tls()  # the first that can fail
        loop = asyncio.get_running_loop()
        self._stopping = None
        self._clock = loop.time
        self.started_at = loop.time()
        self._gone = asyncio.Event()
        self.spreader = Spreader(loop)
        self.errands = Errands(loop)
        self.rooms = Directory(ids=_new_id, max_rooms=self.config.max_rooms, spread=self.spreader)
        self.door = Door(self.config, self.keyring, self.rooms, new_token=lambda: secrets.token_urlsafe(24))
        self.streams = Streams(self)
        self._sweeper = Sweeper(loop, self._tick)
        self._counted = _Counted(self)
        app = web.Application(middlewares=[problems_middleware, self._check_access], client_max_size=MAX_BODY_BYTES)
        app.router.add_get(messages.PATH, self._connect)
        add_api_routes(app, self)
        self._runner = runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            keepalive_timeout=KEEPALIVE_TIMEOUT_S,
        )
        try:
            await runner.setup()
            site = web.TCPSite(
                runner, self.config.host, self.config.port, ssl_context=tls, backlog=1024, reuse_address=True
            )
            await site.start()
        except BaseException:  # cancelled, too
            self._runner = None
            await runner.cleanup()
            raise
        self._port = runner.addresses[0][1]
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
        draining = messages.Draining(deadline_ms=round(self.config.drain_timeout_s * 1000), url=self.config.drain_url)
        for participant in door.participants():
            participant.send(draining)
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
        if host in ("0.0.0.0", ""):
            host = "127.0.0.1"
        elif host == "::":  # event loops bind it to IPv6 alone
            host = "::1"
        if ":" in host:
            host = f"[{host}]"
        scheme = "http" if self.config.tls_cert is None else "https"
        return f"{scheme}://{host}:{self._port}"

    @property
    def is_draining(self) -> bool:
        """The door is closed, or stop() was called; start() opens it again."""
        return self._stopping is not None or (self._runner is not None and self.door.closing)

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
        if self._runner is None:
            raise RuntimeError("the server is not running: `async with server:` or `await server.start()` first")
        connection = WebSocketConnection(self._counted, self._clock, peer)
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
        peer = client_address(request.remote or "unknown", request.headers.getall("X-Forwarded-For", ()), self._proxies)
        reason = self.door.refusal(peer)
        if reason is not None:
            return problem_response(503, reason, "no further connection is taken now", headers={"Retry-After": "5"})
        connection = WebSocketConnection(self._counted, self._clock, peer)
        # Counted first: handing over reads what the peer sent with its request, which may end the connection.
        self.door.connection_opened(connection)
        self._sweeper.add(connection)
        try:
            return hand_over(request, upgrade.response, connection)
        except Exception:
            self._counted.connection_closed(connection, "vanished")
            raise


class _Counted:
    """The door, as connections see it: also takes them off the sweeper's list."""

    def __init__(self, server: Server) -> None:
        self._sweeper = server._sweeper
        self._gone = server._gone
        self._door = server.door
        self.later = server.errands

    def new_session(self, now: float) -> ServerSession:
        return self._door.new_session(now)

    def new_intake(self) -> Intake:
        return self._door.new_intake()

    def admit(
        self, connection: WebSocketConnection, message: messages.SessionStart, session: ServerSession, now: float
    ) -> WebSocketParticipant:
        return self._door.admit(connection, message, session, now)

    def count_error(self, code: str) -> None:
        self._door.count_error(code)

    def connection_closed(self, connection: WebSocketConnection, name: str) -> None:
        self._sweeper.discard(connection)
        self._door.connection_closed(connection, name)
        if not self._door.connections:
            self._gone.set()
