"""The HTTP side of a session's beginning (RFC 6455, section 4), without a socket."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from roomtone.protocol.errors import HandshakeError
from roomtone.protocol.messages import SUBPROTOCOL

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION: Final = "13"


@dataclass(frozen=True, slots=True)
class Upgrade:
    """An accepted upgrade. subprotocol: None where the client offered none. response: the whole 101, ready to
    write to the transport."""

    subprotocol: str | None
    response: bytes


def accept_key(key: str) -> str:
    """Sec-WebSocket-Accept for a client's Sec-WebSocket-Key (RFC 6455, 4.2.2)."""
    # SHA-1 is RFC 6455's choice; it proves only that the peer speaks WebSocket.
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID, usedforsecurity=False).digest()).decode()


def check_upgrade(method: str, headers: Mapping[str, str]) -> Upgrade:
    """Judge a request for a WebSocket. Header names are compared without regard to case.

    The subprotocol `roomtone.v1` is chosen; a client may offer none, but not only others. Extensions are
    declined by silence. Raises HandshakeError: 405 (not GET), 426 (no upgrade, or not version 13), 400.
    """
    fields: dict[str, str] = {}
    for name, value in headers.items():  # a multi-valued mapping yields a repeated header's lines one by one
        name = name.lower()
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    if method.upper() != "GET":
        raise HandshakeError(405, "a WebSocket begins with GET", {"Allow": "GET"})
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": _VERSION}
    if "websocket" not in _tokens(fields.get("upgrade", "").lower()):
        raise HandshakeError(426, "this path is for WebSocket connections: send `Upgrade: websocket`", upgrade)
    if "upgrade" not in _tokens(fields.get("connection", "").lower()):
        raise HandshakeError(400, "the Connection header does not say `Upgrade`")
    if fields.get("sec-websocket-version", "").strip() != _VERSION:
        raise HandshakeError(426, "only version 13 of WebSocket is spoken", upgrade)
    key = fields.get("sec-websocket-key", "").strip()
    if not _is_key(key):
        raise HandshakeError(400, "Sec-WebSocket-Key must be 16 bytes in base64")
    offered = _tokens(fields.get("sec-websocket-protocol", ""))
    if offered and SUBPROTOCOL not in offered:
        raise HandshakeError(400, f"only the subprotocol {SUBPROTOCOL} is spoken")
    subprotocol = SUBPROTOCOL if offered else None
    return Upgrade(subprotocol, _response(key, subprotocol))


def _response(key: str, subprotocol: str | None) -> bytes:
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept_key(key)}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _tokens(value: str) -> list[str]:
    return [token for part in value.split(",") if (token := part.strip())]


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
