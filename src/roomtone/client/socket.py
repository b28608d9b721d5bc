"""Connections over real sockets, with aiohttp."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import deque
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from roomtone.client.transport import TransportClosed
from roomtone.protocol.close_codes import MESSAGE_TOO_BIG, WEBSOCKET_ERROR
from roomtone.protocol.messages import MAX_MESSAGE_BYTES, PATH, SUBPROTOCOL

CONNECT_TIMEOUT_S: Final = 10.0
CLOSE_TIMEOUT_S: Final = 2.0
IDLE_TIMEOUT_S: Final = 30.0
"""A server pings every 10 s: one that is silent for this long is gone."""

# A snapshot of a large room may be longer than what a client may send.
_MAX_RECEIVED_BYTES: Final = 16 * MAX_MESSAGE_BYTES
_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def base_url(url: str) -> str:
    """The server's address as http or https, without the protocol's path: `wss://h/x/v1/connect` -> `https://h/x`.

    Raises ValueError for another scheme or a missing host.
    """
    parts = urlsplit(url)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname:
        raise ValueError(f"a server's address begins with http://, https://, ws:// or wss://, not {url!r}")
    path = parts.path.rstrip("/").removesuffix(PATH)
    return urlunsplit((scheme, parts.netloc, path, "", ""))


def reason(error: Exception) -> str:
    """Why there is no connection, in the system's words, without what aiohttp puts around them."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError):
        # asyncio writes the address, which our message has already, where the system's words would stand.
        said = os.strerror(cause.errno) if cause.errno is not None and cause.errno > 0 else cause.strerror
    else:
        said = str(cause)
    return said or str(cause) or type(cause).__name__


class SocketTransport:
    """One WebSocket. `send` only queues; a task writes, so that it can wait for the socket."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self._websocket = websocket
        # aiohttp has no public way to ask how much of what was written has not left the process.
        connection = websocket._conn
        self._transport: asyncio.WriteTransport | None = connection.transport if connection is not None else None
        self._outbox: deque[tuple[bytes, bool]] = deque()
        self._outbox_bytes = 0
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._writer = asyncio.get_running_loop().create_task(self._write(), name="roomtone-writer")

    def send(self, data: bytes, *, binary: bool) -> None:
        """See Transport.send."""
        if self._websocket.closed or self._writer.done():
            return
        self._outbox.append((data, binary))
        self._outbox_bytes += len(data)
        self._empty.clear()
        self._wake.set()

    @property
    def buffered_bytes(self) -> int:
        """See Transport.buffered_bytes."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return self._outbox_bytes
        return self._outbox_bytes + transport.get_write_buffer_size()

    async def receive(self) -> bytes | str:
        """See Transport.receive."""
        try:
            message = await self._websocket.receive()
        except TimeoutError as error:
            raise TransportClosed(None, f"not a byte came for {IDLE_TIMEOUT_S:g} s") from error
        if message.type is aiohttp.WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if message.type is aiohttp.WSMsgType.TEXT:
            text: str = message.data
            return text
        if message.type is aiohttp.WSMsgType.CLOSE:
            raise TransportClosed(message.data or None, message.extra or "")
        if message.type is aiohttp.WSMsgType.ERROR and isinstance(message.data, aiohttp.WebSocketError):
            too_big = message.data.code == MESSAGE_TOO_BIG.code
            raise TransportClosed((MESSAGE_TOO_BIG if too_big else WEBSOCKET_ERROR).code, str(message.data))
        # Any other end had no close frame, although aiohttp calls a bare end of the stream code 1000.
        raise TransportClosed(None)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """See Transport.close."""
        try:
            if not self._writer.done():
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._empty.wait()
        except TimeoutError:
            pass
        await self._stop_writer()
        await self._websocket.close(code=code, message=reason.encode()[:123])

    def abort(self) -> None:
        """See Transport.abort."""
        self._writer.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _stop_writer(self) -> None:
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._outbox:
                    data, binary = self._outbox.popleft()
                    self._outbox_bytes -= len(data)
                    kind = aiohttp.WSMsgType.BINARY if binary else aiohttp.WSMsgType.TEXT
                    await self._websocket.send_frame(data, kind)
                self._empty.set()
        except (ConnectionError, aiohttp.ClientError):
            pass  # receive() tells the same, with the code
        finally:
            self._outbox.clear()
            self._outbox_bytes = 0
            self._empty.set()


class SocketConnector:
    """Opens WebSockets to one address. `close` gives the HTTP session back."""

    def __init__(self, url: str, tls: ssl.SSLContext | None = None) -> None:
        self._url = base_url(url)
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def open(self, url: str | None) -> SocketTransport:
        """See Connector.open."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        address = (base_url(url) if url is not None else self._url) + PATH
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                websocket = await self._session.ws_connect(
                    address,
                    protocols=(SUBPROTOCOL,),
                    compress=0,
                    ssl=self._tls or True,
                    max_msg_size=_MAX_RECEIVED_BYTES,
                    timeout=aiohttp.ClientWSTimeout(ws_receive=IDLE_TIMEOUT_S, ws_close=CLOSE_TIMEOUT_S),
                )
        except aiohttp.WSServerHandshakeError as error:
            raise TransportClosed(None, f"{address} answers HTTP {error.status}, not a WebSocket") from error
        except TimeoutError as error:
            raise TransportClosed(None, f"{address} is silent for {CONNECT_TIMEOUT_S:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise TransportClosed(None, f"cannot reach {address}: {reason(error)}") from error
        return SocketTransport(websocket)

    async def close(self) -> None:
        """See Connector.close."""
        if self._session is not None:
            await self._session.close()
            self._session = None
