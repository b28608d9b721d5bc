"""Which pages and host names are let in."""

from __future__ import annotations

import pytest

from roomtone.server.access import host_allowed, host_name, origin_allowed


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("localhost:7800", "localhost"),
        ("LOCALHOST", "localhost"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:7800", "::1"),
        ("voice.example.", "voice.example"),
        ("", ""),
        ("[::1", ""),
    ],
)
def test_host_name(header: str, name: str) -> None:
    """Without port, brackets, case and the root's dot."""
    assert host_name(header) == name


@pytest.mark.parametrize("header", ["evil.example", "127.0.0.1.evil.example", "", None, "localhost.evil.example:7800"])
def test_a_loopback_server_answers_to_loopback_names_only(header: str | None) -> None:
    """A hostile name that points at 127.0.0.1 finds nobody."""
    assert not host_allowed(header, [], loopback_only=True)


def test_named_hosts() -> None:
    """Where names are configured, they and only they are answered to."""
    assert host_allowed("voice.example:443", ["voice.example"], loopback_only=False)
    assert not host_allowed("other.example", ["voice.example"], loopback_only=False)
    assert host_allowed("anything.example", [], loopback_only=False)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("http://localhost:7800", True),
        ("http://LOCALHOST:7800", True),
        ("http://localhost:7801", False),
        ("null", False),
        ("https://friend.example", True),
        ("https://friend.example.evil.example", False),
        ("chrome-extension://localhost:7800", False),
        ("http://[", False),
    ],
)
def test_origins(origin: str | None, allowed: bool) -> None:
    """Programs, our own pages and the configured sites; nobody else."""
    assert origin_allowed(origin, "localhost:7800", ["https://friend.example"]) is allowed


def test_any_origin() -> None:
    """The star is for servers that live from tokens alone."""
    assert origin_allowed("https://anyone.example", "voice.example", ["*"])
