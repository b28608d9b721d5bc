"""From an HTTP request to our own protocol on the same transport.

aiohttp answers HTTP; once the upgrade is accepted it is out of the way: its reading of WebSocket frames costs
more than everything else that an audio frame meets here (bench/, DESIGN of the wire).
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from roomtone.participants.websocket_connection import WebSocketConnection


class Upgraded(web.StreamResponse):
    """What a handler returns after hand_over(): there is nothing left to answer over HTTP."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Tell aiohttp in the one way it has that this connection is no longer its own."""
        raise ConnectionResetError("upgraded")


def hand_over(request: web.Request, response: bytes, connection: WebSocketConnection) -> Upgraded:
    """Write the 101 response and make `connection` the protocol of the request's transport.

    No await lies between the check of the request and this: no byte of the peer's can fall between the two.
    Raises ConnectionResetError where the peer has gone already.
    """
    http = request.protocol
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client went away during the handshake")
    # A peer that did not wait for our answer has its first frames here (aiohttp keeps what follows an upgrade).
    early = getattr(http, "_message_tail", b"")
    transport.write(response)
    transport.set_protocol(connection)
    # aiohttp's protocol is told that it has lost its connection, so that it frees all it holds; without its
    # transport it cannot close ours.
    http.transport = None
    http.connection_lost(None)
    connection.connection_made(transport)
    if not transport.is_reading():
        transport.resume_reading()
    if early:
        connection.data_received(bytes(early))
    return Upgraded()
