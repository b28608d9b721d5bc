"""A connection's own way to the kernel, on real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import cast

import pytest

from roomtone.participants.websocket_sender import Sender


class _Transport:
    """What Sender asks of a transport."""

    def __init__(self, **extra: object) -> None:
        self._extra = extra

    def get_extra_info(self, name: str) -> object:
        return self._extra.get(name)


def _of(**extra: object) -> Sender | None:
    return Sender.of(cast(asyncio.Transport, _Transport(**extra)))


def _fill(sender: Sender, data: bytes) -> int:
    """Send until the kernel takes no more; how much it took."""
    taken = 0
    while True:
        try:
            taken += sender.send(data[taken:])
        except BlockingIOError:
            return taken


def _read_all(peer: socket.socket) -> None:
    while peer.recv(1_000):
        pass


def test_tls_and_memory_have_none() -> None:
    """Their transports have to see every byte."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert _of(sslcontext=object(), socket=ours) is None
    assert _of() is None


def test_a_closed_socket_has_none() -> None:
    """A connection that broke during its handshake is not an error of ours."""
    ours, theirs = socket.socketpair()
    theirs.close()
    ours.close()
    assert _of(socket=ours) is None


def test_what_the_kernel_does_not_take_is_told() -> None:
    """A part, then nothing; what was taken arrives in order."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sender = _of(socket=ours)
        assert sender is not None
        data = os.urandom(1_000_000)
        taken = _fill(sender, data)
        assert 0 < taken < len(data)
        arrived = b""
        while len(arrived) < taken:
            arrived += theirs.recv(65_536)
        assert arrived == data[:taken]
        sender.close()


def test_the_descriptor_is_its_own() -> None:
    """Another socket under the number of the closed one gets nothing of what is sent."""
    ours, theirs = socket.socketpair()
    sender = _of(socket=ours)
    assert sender is not None
    number = ours.fileno()
    ours.close()
    stranger, peer = socket.socketpair()
    with theirs, stranger, peer:
        assert number in (stranger.fileno(), peer.fileno())
        assert sender.send(b"for the old one") == 15
        assert theirs.recv(100) == b"for the old one"
        for other in (stranger, peer):
            other.setblocking(False)
            with pytest.raises(BlockingIOError):
                other.recv(100)
        sender.close()
        assert theirs.recv(100) == b""


def test_a_reset_throws_away_what_was_not_read() -> None:
    """The peer sees the end at once."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as peer:
        ours, _ = server.accept()
        sender = _of(socket=ours)
        assert sender is not None
        sender.send(b"x" * 10_000)
        sender.reset_on_close()
        ours.close()
        sender.close()
        sender.reset_on_close()  # too late: nothing
        with pytest.raises(ConnectionResetError):
            _read_all(peer)
