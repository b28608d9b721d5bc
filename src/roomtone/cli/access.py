"""Which token a command shows to the server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from roomtone.cli.exits import CliError, ExitCode
from roomtone.server.auth import DEV_KEY, Key, mint
from roomtone.server.config import is_loopback


def environment_key() -> Key | None:
    """The key of ROOMTONE_API_KEY and ROOMTONE_API_SECRET; None where neither is set."""
    key_id, secret = os.environ.get("ROOMTONE_API_KEY"), os.environ.get("ROOMTONE_API_SECRET")
    if not key_id and not secret:
        return None
    if not (key_id and secret):
        raise CliError("ROOMTONE_API_KEY and ROOMTONE_API_SECRET go together: set both", ExitCode.USAGE)
    try:
        return Key(key_id, "HS256", secret)
    except ValueError as error:
        raise CliError(f"ROOMTONE_API_SECRET: {error}", ExitCode.USAGE) from error


def token_for(
    url: str,
    token: str | None,
    *,
    identity: str,
    room: str | None,
    grants: Mapping[str, bool] | None = None,
) -> str:
    """`token`, or one minted from the environment's key, or with the development key for a loopback server."""
    if token:
        return token
    key = environment_key()
    if key is None:
        if not is_loopback(host_of(url)):
            raise CliError(
                f"no token for {url}: give --token or ROOMTONE_TOKEN, or set ROOMTONE_API_KEY and ROOMTONE_API_SECRET",
                ExitCode.USAGE,
            )
        key = DEV_KEY
    try:
        return mint(key, identity, room=room, grants=grants)
    except ValueError as error:
        raise CliError(str(error), ExitCode.USAGE) from error


def host_of(url: str) -> str:
    """The host of an http(s) URL. Raises CliError where it is none."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        parts, host = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not host:
        raise CliError(f"{url!r} is not a server's address: write it like http://127.0.0.1:7800", ExitCode.USAGE)
    return host
