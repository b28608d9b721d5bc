"""Which web pages may talk to the server.

A browser sends any page's requests to a developer's loopback server, and a hostile name server can point any
host name at 127.0.0.1; so Origin and Host are checked from the first day. Programs send no Origin.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def host_name(host_header: str) -> str:
    """The name in a Host header, lower case, without port and brackets; "" where it makes no sense."""
    if any(character in host_header for character in "@/\\?#") or not host_header.isprintable():
        return ""
    try:
        return (urlsplit(f"//{host_header}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def host_allowed(host_header: str | None, allowed: Sequence[str], *, loopback_only: bool) -> bool:
    """allowed: names to answer to. Where it is empty: the loopback names on a loopback server, else any."""
    name = host_name(host_header or "")
    if not name:
        return False
    if allowed:
        return name in allowed or "*" in allowed
    return not loopback_only or is_loopback(name)


def is_loopback(host: str) -> bool:
    """localhost or a loopback address. A hostile name server can make a name mean 127.0.0.1, but not another
    address of one that is written out."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def origin_allowed(origin: str | None, host_header: str | None, allowed: Sequence[str]) -> bool:
    """No Origin (not a browser), our own (same host and port as Host), or one of `allowed` ("*" for any)."""
    if origin is None or "*" in allowed:
        return True
    origin = origin.rstrip("/").lower()
    if origin in allowed:
        return True
    try:
        parts = urlsplit(origin)
        same = parts.scheme in ("http", "https") and parts.netloc == (host_header or "").lower()
    except ValueError:
        return False
    return bool(same)


def client_address(peer: str, forwarded_for: Iterable[str], trusted: Sequence[Network]) -> str:
    """The address that a request came from, for limits and logs.

    peer: of the socket. forwarded_for: the X-Forwarded-For headers, which anybody can write; they count only
    as far as trusted proxies wrote them: read from the right, the first address that is none of `trusted`.
    """
    address = peer
    if not _is_one_of(address, trusted):
        return address
    hops = [hop.strip() for header in forwarded_for for hop in header.split(",")]
    for hop in reversed(hops):
        try:
            address = str(ipaddress.ip_address(hop))
        except ValueError:  # a proxy that was told to hide it: nothing left of it can be believed
            break
        if not _is_one_of(address, trusted):
            break
    return address


def _is_one_of(address: str, networks: Sequence[Network]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)
