"""What may be opened, and where: the one place that decides.

A server plays what strangers name, so it refuses addresses that only it can reach, and files outside its
media directory. The fetcher connects to the very addresses that were checked here and checks each redirect
again, so a name that resolves differently a moment later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from roomtone.sources.addresses import Network, parse_address, refusal_of
from roomtone.sources.errors import SourceError

Resolver = Callable[[str, int], list[str]]
"""(host name, port) to addresses as text. Blocks; raises OSError."""

MAX_URL_BYTES: Final = 2_048
MAX_ADDRESSES: Final = 16
WEB_PORTS: Final = (80, 443)
FIRST_UNPRIVILEGED_PORT: Final = 1_024

_URL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.\-]*)://")
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_\-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_\-]*[a-z0-9_])?)*\.?")
_DOTTED_QUAD = re.compile(r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){3}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_CONTROL = re.compile("[\x00-\x20\x7f\\\\\ud800-\udfff]")


def is_url(spec: str) -> bool:
    """Whether `spec` names a protocol; everything else is a path."""
    return _URL.match(spec) is not None


def without_query(url: str) -> str:
    """For people and logs: a query may hold a secret."""
    return url.partition("?")[0].partition("#")[0]


def system_resolver(host: str, port: int) -> list[str]:
    """Ask the operating system."""
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))


@dataclass(frozen=True, slots=True)
class CheckedUrl:
    """A URL taken apart, with the addresses that may be connected to, in the resolver's order."""

    scheme: str
    host: str
    port: int
    target: str
    addresses: tuple[str, ...]

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.scheme == "https" else 80) else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host_header}{self.target}"

    @property
    def shown(self) -> str:
        """For messages."""
        return without_query(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePolicy:
    """The default is a server's: public http(s) addresses, no files, no standard input.

    allow_private_addresses: any unicast address and port. allow_networks: private ones that are fine, such as
    a music server's. media_dir: files below it may be played, and relative paths start there. allow_any_file,
    allow_stdin: for a local user. resolver: replaced in tests.
    """

    allow_private_addresses: bool = False
    allow_networks: tuple[Network, ...] = ()
    media_dir: Path | None = None
    allow_any_file: bool = False
    allow_stdin: bool = False
    resolver: Resolver = system_resolver

    @classmethod
    def local(cls) -> SourcePolicy:
        """For a command line: whatever its user may read anyway."""
        return cls(allow_private_addresses=True, allow_any_file=True, allow_stdin=True)

    def check_url(self, url: str) -> CheckedUrl:
        """Take `url` apart, resolve its host and check every address. Blocks on the resolver.

        Raises SourceError: `refused`, or `unreachable` where the name does not resolve.
        """
        scheme, host, port, target = split_url(url)
        shown = f"{scheme}://{host}"
        if not self.allow_private_addresses and port not in WEB_PORTS and port < FIRST_UNPRIVILEGED_PORT:
            raise SourceError("refused", f"{shown}: port {port} is not a web port; use 80, 443 or one from 1024 up")
        if ":" in host or _DOTTED_QUAD.fullmatch(host):
            found = [host]
        else:
            try:
                found = self.resolver(host, port)
            except (OSError, UnicodeError) as error:
                raise SourceError(
                    "unreachable", f"{shown}: the name does not resolve ({error}); check its spelling"
                ) from error
        if not found:
            raise SourceError("unreachable", f"{shown}: the name has no address; check its spelling")
        found = found[:MAX_ADDRESSES]
        for text in found:
            self._check_address(text, shown)
        return CheckedUrl(scheme, host, port, target, tuple(found))

    def check_file(self, spec: str) -> Path:
        """The real path of a file that may be opened; it need not exist. Raises SourceError (`refused`)."""
        if "\x00" in spec:
            raise SourceError("refused", "a path has no NUL character in it")
        path = Path(spec)
        if self.allow_any_file:
            return _resolved(path.expanduser())
        if self.media_dir is None:
            raise SourceError("refused", "files are not played here; set media_dir to allow those below it")
        base = _resolved(self.media_dir)
        real = _resolved(base / path)
        if not real.is_relative_to(base) or real == base:
            # Says the same whether the file exists or not: this must not be a way to look around.
            raise SourceError("refused", f"{spec} is not below the media directory; copy it there or name one that is")
        return real

    def check_stdin(self) -> None:
        """Raises SourceError (`refused`)."""
        if not self.allow_stdin:
            raise SourceError("refused", "standard input is not played here; use a file or a URL")

    def _check_address(self, text: str, shown: str) -> None:
        try:
            address = parse_address(text)
        except ValueError as error:
            raise SourceError("refused", f"{shown}: {text} is not an address to connect to") from error
        if any(address in network for network in self.allow_networks if network.version == address.version):
            return
        why = refusal_of(address)
        if self.allow_private_addresses:
            why = why if why in ("multicast",) else None
        if why is not None:
            raise SourceError(
                "refused", f"{shown}: its address {text} is {why}; the server's policy does not allow that"
            )


def split_url(url: str) -> tuple[str, str, int, str]:
    """(scheme, host, port, target) of an http(s) URL, the host lower-case ASCII, the target percent-encoded.

    Raises SourceError (`refused`) for anything else, and for spellings that two parsers could read
    differently.
    """
    match = _URL.match(url)
    if match is None or match.group(1).lower() not in ("http", "https"):
        scheme = match.group(1) if match else "none"
        raise SourceError("refused", f"protocol {scheme} is not allowed; use http, https or a file's path")
    scheme = match.group(1).lower()
    shown = url if len(url) <= 80 else url[:77] + "..."
    if len(url.encode("utf-8", "replace")) > MAX_URL_BYTES:
        raise SourceError("refused", f"a URL has at most {MAX_URL_BYTES} bytes")
    if _CONTROL.search(url):
        raise SourceError("refused", f"{shown!r} has a space, backslash or control character; percent-encode it")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
    except ValueError as error:
        raise SourceError("refused", f"{shown} is not a URL ({error})") from error
    if "@" in parts.netloc:
        raise SourceError("refused", "a URL with a user name or password is not allowed; remove what is before the @")
    if port == 0:
        raise SourceError("refused", f"{shown}: there is no port 0")
    if "[" in parts.netloc and ":" not in host:
        raise SourceError("refused", f"{shown}: only an IPv6 address stands in brackets")
    host = _checked_host(host, shown)
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return scheme, host, port or (443 if scheme == "https" else 80), target


def _checked_host(host: str, shown: str) -> str:
    if ":" in host:
        try:
            return str(parse_address(host))
        except ValueError as error:
            raise SourceError("refused", f"{shown}: {host} is not an address") from error
    try:
        # Folds full-width digits and the like, so that what is checked below is what would be looked up.
        host = host.encode("idna").decode("ascii").lower() if host else ""
    except UnicodeError as error:
        raise SourceError("refused", f"{shown}: {host} is not a host name") from error
    if not host or len(host) > 253 or not _HOST_NAME.fullmatch(host):
        raise SourceError("refused", f"{shown}: {host!r} is not a host name")
    if _DOTTED_QUAD.fullmatch(host):
        try:
            return str(parse_address(host))
        except ValueError as error:
            raise SourceError("refused", f"{shown}: {host} is not an address") from error
    # inet_aton reads 2130706433, 0x7f.1 and 0177.0.0.1 as addresses; nobody needs to.
    if _NUMBER.fullmatch(host.rstrip(".").rsplit(".", 1)[-1]):
        raise SourceError("refused", f"{shown}: write the address as four plain decimal numbers")
    return host


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # a loop of symbolic links
        raise SourceError("refused", f"{path} cannot be followed to a file") from error
