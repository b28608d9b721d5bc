"""The way in."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from roomtone.client.link import Introduction, TokenProvider
from roomtone.client.memory import InMemoryServer, MemoryConnector
from roomtone.client.room import Room
from roomtone.client.socket import SocketConnector, base_url
from roomtone.client.transport import Connector
from roomtone.media.delay import WEBSOCKET, JitterSettings
from roomtone.media.packet import CODEC_NAMES


def connect(
    url: str | InMemoryServer,
    token: str | TokenProvider,
    *,
    room: str | None = None,
    name: str = "",
    metadata: str = "",
    codecs: Sequence[str] = tuple(CODEC_NAMES),
    reconnect: bool = True,
    jitter: JitterSettings = WEBSOCKET,
    tls: ssl.SSLContext | None = None,
) -> Room:
    """A room to be entered: `async with roomtone.connect(url, token) as room:`.

    url: the server's address (http, https, ws or wss), or a `roomtone.Server` of this event loop, which is
    then joined through memory. token: what `roomtone token` or `Server.token` minted, or a function,
    asynchronous or not, that gives a fresh one for every connection. room: needed where the token names none.
    name, metadata: how others see this participant. codecs: what this client can decode, in order of
    preference. reconnect: whether a lost connection comes back by itself. jitter: for frames() and mix().
    tls: for a server whose certificate a private authority signed.

    Raises ValueError for an address or a codec that is none; entering raises ConnectError.
    """
    for codec in codecs:
        if codec not in CODEC_NAMES:
            raise ValueError(f"codecs are {', '.join(CODEC_NAMES)}, not {codec!r}")
    introduction = Introduction(
        token=token, room=room, name=name, metadata=metadata, codecs=tuple(codecs), client=_client()
    )
    if isinstance(url, str):
        base_url(url)

    def connector() -> Connector:
        return SocketConnector(url, tls) if isinstance(url, str) else MemoryConnector(url)

    return Room(connector, introduction, jitter=jitter, reconnect=reconnect)


def _client() -> str:
    try:
        return f"roomtone-python/{version('roomtone')}"
    except PackageNotFoundError:
        return "roomtone-python"
