"""A connection's own way to the kernel, past the event loop's transport.

For a frame of 132 bytes, uvloop's `transport.write` costs half a microsecond more than `send` (bench/fanout.py;
docs/decisions/0004): a tenth of all that a listener costs. While a transport holds nothing, nothing can be
overtaken.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct


class Sender:
    """A duplicate of the transport's socket: with a descriptor of its own, a frame can never reach another
    connection that was given the number of a descriptor closed in this turn of the loop.

    send(frame): how many bytes the kernel took; raises BlockingIOError for none, OSError when it is broken.
    """

    __slots__ = ("_socket", "send")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.send = sock.send

    @classmethod
    def of(cls, transport: asyncio.Transport) -> Sender | None:
        """None for what is no plain socket: TLS and memory transports, and where descriptors are used up."""
        if transport.get_extra_info("sslcontext") is not None:
            return None
        original = transport.get_extra_info("socket")
        if original is None:
            return None
        try:
            sock = socket.socket(fileno=os.dup(original.fileno()))
        except OSError:
            return None
        sock.setblocking(False)
        return cls(sock)

    def reset_on_close(self) -> None:
        """Throw away what the kernel still holds, and tell the peer so at once (RST), when all is closed."""
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            return  # it is gone already

    def close(self) -> None:
        """The transport has closed its own descriptor; this was the last."""
        self._socket.close()
