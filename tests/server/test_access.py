"""Which pages and host names are let in."""

from __future__ import annotations

import ipaddress

import pytest

from roomtone.server.access import client_address, host_allowed, host_name, origin_allowed


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


@pytest.mark.parametrize("name", ["127.0.0.1", "127.8.8.8", "[::1]", "localhost"])
def test_a_loopback_server_answers_to_every_loopback_address(name: str) -> None:
    """A server on 127.8.8.8 is asked for as that."""
    assert host_allowed(f"{name}:7800", [], loopback_only=True)


@pytest.mark.parametrize(
    "header", ["user@localhost", "localhost/x", "localhost?x", "localhost#x", "local\\host", "a\tb"]
)
def test_a_host_is_a_name_and_a_port(header: str) -> None:
    """Nothing else that a parser of URLs would make something of."""
    assert host_name(header) == ""
    assert not host_allowed(header, [], loopback_only=False)


PROXIES = [ipaddress.ip_network(one) for one in ("10.0.0.0/8", "::1")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.9, 10.2.2.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
        ("::ffff:10.0.0.1", ["2001:db8::5"], "2001:db8::5"),
        ("::1", ["unknown"], "::1"),
        ("10.0.0.1", ["203.0.113.9, unknown, 10.2.2.2"], "10.2.2.2"),
        ("unknown", ["203.0.113.9"], "unknown"),
    ],
)
def test_only_what_trusted_proxies_wrote_counts(peer: str, forwarded: list[str], address: str) -> None:
    """Anybody can send an X-Forwarded-For: it is read from the right, as far as the proxies are trusted."""
    assert client_address(peer, forwarded, PROXIES) == address


def test_without_trusted_proxies_the_socket_counts() -> None:
    """As it is by default."""
    assert client_address("10.0.0.1", ["203.0.113.9"], []) == "10.0.0.1"
