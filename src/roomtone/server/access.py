"""Which web pages may talk to the server.

A browser sends any page's requests to a developer's loopback server, and a hostile name server can point any
host name at 127.0.0.1; so Origin and Host are checked from the first day. Programs send no Origin.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def host_name(host_header: str) -> str:
    """The name in a Host header, lower case, without port and brackets; "" where it makes no sense."""
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
    return not loopback_only or name in LOOPBACK_NAMES


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
