from __future__ import annotations

import pytest

from roomtone.protocol.errors import HandshakeError
from roomtone.protocol.handshake import accept_key, check_upgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def request(**changes: str | None) -> dict[str, str]:
    """The headers of a good request; a change to None removes one, underscores stand for hyphens."""
    headers: dict[str, str | None] = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "keep-alive, Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "roomtone.v1",
    }
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in headers.items() if value is not None}


def test_accept_key() -> None:
    """The example of RFC 6455, 1.3."""
    assert accept_key(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_upgrade() -> None:
    """A good request gets the 101 of RFC 6455, 4.2.2, whatever the case of its header names."""
    upgrade = check_upgrade("GET", {name.upper(): value for name, value in request().items()})
    assert upgrade.subprotocol == "roomtone.v1"
    assert upgrade.response == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"Sec-WebSocket-Protocol: roomtone.v1\r\n"
        b"\r\n"
    )


def test_subprotocol_is_chosen_from_several() -> None:
    """Others may be offered beside it; none at all is taken too, and then none is told."""
    assert check_upgrade("GET", request(Sec_WebSocket_Protocol="chat, roomtone.v1")).subprotocol == "roomtone.v1"
    bare = check_upgrade("GET", request(Sec_WebSocket_Protocol=None))
    assert bare.subprotocol is None
    assert b"Protocol:" not in bare.response


def test_extensions_are_declined_by_silence() -> None:
    """permessage-deflate is offered by every browser and not answered."""
    upgrade = check_upgrade("GET", request(Sec_WebSocket_Extensions="permessage-deflate"))
    assert b"Extensions" not in upgrade.response


@pytest.mark.parametrize(
    ("method", "changes", "status"),
    [
        ("POST", {}, 405),
        ("GET", {"Upgrade": None}, 426),
        ("GET", {"Upgrade": "h2c"}, 426),
        ("GET", {"Connection": "keep-alive"}, 400),
        ("GET", {"Sec_WebSocket_Version": "8"}, 426),
        ("GET", {"Sec_WebSocket_Version": None}, 426),
        ("GET", {"Sec_WebSocket_Key": None}, 400),
        ("GET", {"Sec_WebSocket_Key": "c2hvcnQ="}, 400),
        ("GET", {"Sec_WebSocket_Key": "not base64 at all!!!!!!"}, 400),
        ("GET", {"Sec_WebSocket_Key": "é" * 24}, 400),
        ("GET", {"Sec_WebSocket_Protocol": "chat"}, 400),
    ],
)
def test_refusals(method: str, changes: dict[str, str | None], status: int) -> None:
    """Each fault has its HTTP status; 426 says what is spoken instead, 405 what is allowed."""
    with pytest.raises(HandshakeError) as caught:
        check_upgrade(method, request(**changes))
    assert caught.value.status == status
    assert caught.value.message
    if status == 426:
        assert caught.value.headers["Sec-WebSocket-Version"] == "13"
    if status == 405:
        assert caught.value.headers == {"Allow": "GET"}


def test_repeated_headers_are_joined() -> None:
    """A multi-valued mapping yields the lines of a repeated header one by one (RFC 9110, 5.3)."""

    class Lines(dict[str, str]):
        def items(self) -> list[tuple[str, str]]:  # type: ignore[override]
            return [*super().items(), ("sec-websocket-protocol", "roomtone.v1")]

    assert check_upgrade("GET", Lines(request(Sec_WebSocket_Protocol="chat"))).subprotocol == "roomtone.v1"
