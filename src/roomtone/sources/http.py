"""A URL as a file: fetched over sockets of our own, to addresses that the policy has checked.

Not FFmpeg's own client, nor any that resolves names itself: what was checked must be what is connected to.
No proxy, cookie or credential of the environment is used.
"""

from __future__ import annotations

import io
import socket
import ssl
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Final
from urllib.parse import urljoin

from roomtone.sources.cancel import CancelToken
from roomtone.sources.errors import Cancelled, SourceError
from roomtone.sources.policy import CheckedUrl, SourcePolicy, without_query

USER_AGENT: Final = "roomtone/1"
MAX_REDIRECTS: Final = 5
READ_AHEAD_SEEK_BYTES: Final = 65_536
"""A seek forward by less is read and thrown away; a longer one asks the server for another range."""
_REDIRECTS: Final = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """connect_s, read_s: how long one address may take to answer, and the server to send the next byte.

    retries: attempts after a connection that broke, without a byte of progress; each waits twice as long as
    the one before, from retry_delay_s.
    """

    connect_s: float = 10.0
    read_s: float = 15.0
    retries: int = 4
    retry_delay_s: float = 0.25


class _PinnedConnection(HTTPConnection):
    """One request over one socket to an address that was chosen beforehand."""

    def __init__(self, url: CheckedUrl, options: HttpOptions, token: CancelToken) -> None:
        super().__init__(url.host, url.port)
        self._url = url
        self._options = options
        self._token = token
        self._key: int | None = None
        self._live: socket.socket | None = None

    def connect(self) -> None:
        failure: OSError | None = None
        for address in self._url.addresses:
            try:
                self._connect_to(address)
                return
            except OSError as error:
                failure = error
                self._token.check()
        raise failure or OSError("no address")

    def _connect_to(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        raw = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._watch(raw)
            raw.settimeout(self._options.connect_s)
            raw.connect((address, self._url.port))
            if self._url.scheme == "https":
                context = ssl.create_default_context()
                secure = context.wrap_socket(raw, server_hostname=self._url.host, do_handshake_on_connect=False)
                raw = secure
                self._watch(secure)
                secure.do_handshake()
            raw.settimeout(self._options.read_s)
        except BaseException:
            self._unwatch()
            raw.close()
            raise
        self.sock = raw

    def _watch(self, sock: socket.socket) -> None:
        self._unwatch()
        self._live = sock
        self._key = self._token.register(self._shut_down)

    def _unwatch(self) -> None:
        if self._key is not None:
            self._token.unregister(self._key)
            self._key = None

    def _shut_down(self) -> None:
        # Wakes the worker out of connect, handshake or recv. The plain socket's method: the TLS one would
        # pull the TLS state from under a read that is going on.
        if self._live is not None:
            try:
                socket.socket.shutdown(self._live, socket.SHUT_RDWR)
            except OSError:
                pass  # not connected yet, or not any more

    def release(self) -> None:
        """Done with it. Not close(): http.client calls that once the response has the socket."""
        self._unwatch()
        self.close()


class HttpStream(io.RawIOBase):
    """Read, seek and tell over one URL; blocks, in a worker thread. Use `open()` first.

    A connection that breaks is made again and goes on where it broke, by a range where the server knows
    ranges, and at the present of a live stream (one without a length). A failure ends the data: read() then
    gives b"" and `failure` says why, since an exception would have to find its way through FFmpeg.
    """

    def __init__(self, url: str, policy: SourcePolicy, token: CancelToken, options: HttpOptions | None = None) -> None:
        super().__init__()
        self.url = url
        self._shown = without_query(url)
        self.failure: SourceError | Cancelled | None = None
        self.reconnects = 0
        self._policy = policy
        self._token = token
        self._options = options or HttpOptions()
        self._connection: _PinnedConnection | None = None
        self._response: HTTPResponse | None = None
        self._at = 0  # where the response stands
        self._wanted = 0  # where the reader stands
        self._total: int | None = None
        self._ranges = False
        self._started = False

    def open(self) -> None:
        """Send the first request. Raises SourceError or Cancelled."""
        self._request(0)
        self._started = True

    @property
    def live(self) -> bool:
        """Whether the server told no length: a stream without an end."""
        return self._total is None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._ranges and self._total is not None

    def tell(self) -> int:
        return self._wanted

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if not self.seekable() or self._total is None:
            raise OSError("this URL cannot be read from another place")
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._wanted, io.SEEK_END: self._total}[whence]
        self._wanted = max(0, base + offset)
        return self._wanted

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, at least one but at the end."""
        if self.failure is not None or not self._started:
            return b""
        if size < 0:
            size = READ_AHEAD_SEEK_BYTES
        try:
            return self._read(size)
        except (SourceError, Cancelled) as error:
            self.failure = error
            return b""

    def close(self) -> None:
        self._drop()
        super().close()

    def _read(self, size: int) -> bytes:
        attempt = 0
        while True:
            self._token.check()
            if self._total is not None and self._wanted >= self._total:
                return b""
            try:
                if self._response is None or self._wanted != self._at:
                    self._move()
                data = self._response.read1(size) if self._response is not None else b""
                reason = "" if self._total is None else "the connection was closed early"
            except (OSError, HTTPException) as error:
                data, reason = b"", str(error) or type(error).__name__
            if data:
                self._at += len(data)
                self._wanted = self._at
                return data
            self._token.check()
            if not reason:
                return b""  # the last chunk, or a body whose end is the connection's
            self._drop()
            if attempt >= self._options.retries or not (self._ranges or self._total is None):
                raise SourceError(
                    "died_midway",
                    f"{self._shown} broke off after {self._wanted} bytes ({reason}); start it again",
                )
            self._token.sleep(self._options.retry_delay_s * 2**attempt)
            attempt += 1
            self.reconnects += 1

    def _move(self) -> None:
        """Bring the response to where the reader stands."""
        ahead = self._wanted - self._at
        if self._response is not None and 0 < ahead <= READ_AHEAD_SEEK_BYTES:
            while ahead:
                data = self._response.read1(ahead)
                if not data:
                    raise OSError("the connection was closed early")
                self._at += len(data)
                ahead -= len(data)
            return
        self._drop()
        try:
            self._request(self._wanted)
        except SourceError as error:
            if error.fault != "unreachable":
                raise
            raise OSError(str(error)) from error

    def _request(self, offset: int) -> None:
        """One GET with its redirects, each of them checked."""
        url = self.url
        for _ in range(MAX_REDIRECTS + 1):
            self._token.check()
            checked = self._policy.check_url(url)
            response = self._get(checked, offset)
            if response.status not in _REDIRECTS:
                self._accept(checked, response, offset)
                return
            location = response.headers.get("Location")
            self._drop()
            if not location:
                raise SourceError("http_status", f"{checked.shown} redirects to nowhere; use another URL")
            url = urljoin(checked.url, location)
        raise SourceError("http_status", f"{self._shown} redirects more than {MAX_REDIRECTS} times; use another URL")

    def _get(self, url: CheckedUrl, offset: int) -> HTTPResponse:
        connection = self._connection = _PinnedConnection(url, self._options, self._token)
        try:
            connection.putrequest("GET", url.target, skip_host=True, skip_accept_encoding=True)
            connection.putheader("Host", url.host_header)
            connection.putheader("User-Agent", USER_AGENT)
            connection.putheader("Accept", "audio/*,*/*;q=0.5")
            connection.putheader("Accept-Encoding", "identity")
            connection.putheader("Range", f"bytes={offset}-")
            connection.putheader("Connection", "close")
            connection.endheaders()
            self._response = connection.getresponse()
            return self._response
        except (OSError, HTTPException) as error:
            self._drop()
            self._token.check()
            reason = str(error) or type(error).__name__
            raise SourceError("unreachable", f"{url.shown} cannot be reached ({reason}); is it up?") from error

    def _accept(self, url: CheckedUrl, response: HTTPResponse, offset: int) -> None:
        status = response.status
        if status == 206:
            first, total = _content_range(response.headers.get("Content-Range", ""))
            if first == offset and (self._total is None or total is None or total == self._total):
                self._ranges, self._total, self._at = True, total, offset
                return
        elif status == 200:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isascii() and length.isdigit() else None
            if not self._started:
                self._total, self._at = total, 0
                return
            if self._total is None and total is None:
                self._at = self._wanted  # a live stream: goes on at its present
                return
        elif status == 416 and offset == 0:
            self._drop()
            raise SourceError("empty", f"{url.shown} is empty; use another URL")
        self._drop()
        if status in (200, 206):
            raise SourceError("died_midway", f"{self._shown} changed while it was read; start it again")
        raise SourceError("http_status", f"{url.shown} answered {status} {response.reason}; check the address")

    def _drop(self) -> None:
        # The connection first: nobody may shut the socket down once its descriptor can be another's.
        if self._connection is not None:
            self._connection.release()
            self._connection = None
        if self._response is not None:
            self._response.close()
            self._response = None


def _content_range(text: str) -> tuple[int, int | None]:
    """`bytes 5-9/10` to (5, 10); (-1, None) for what is not one."""
    unit, _, rest = text.partition(" ")
    span, _, total = rest.partition("/")
    first = span.partition("-")[0]
    if unit.strip().lower() != "bytes" or not (first.isascii() and first.isdigit()):
        return -1, None
    return int(first), int(total) if total.isascii() and total.isdigit() else None
