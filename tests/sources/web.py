"""A real web server on loopback, with the ways in which real ones go wrong."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network

from aiohttp import web

from roomtone.sources.policy import SourcePolicy

LOOPBACK_ONE = SourcePolicy(allow_networks=(ip_network("127.0.0.1/32"),))
"""A server's policy that knows this one address, so that all other refusals stay in force."""


@dataclass
class Site:
    """files: by path. The counters say what was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    port: int = 0
    hits: dict[str, int] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hung: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/{path}"

    def hit(self, request: web.Request) -> bytes:
        name = request.match_info["name"]
        self.hits[name] = self.hits.get(name, 0) + 1
        self.asked.set()
        self.hosts.append(request.headers["Host"])
        self.ranges.append(request.headers.get("Range", ""))
        if name not in self.files:
            raise web.HTTPNotFound
        return self.files[name]

    async def ranged(self, request: web.Request) -> web.Response:
        """As any file server: ranges, lengths."""
        data = self.hit(request)
        first = request.http_range.start or 0
        if first >= len(data):
            raise web.HTTPRequestRangeNotSatisfiable
        headers = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
        return web.Response(status=206, body=data[first:], headers=headers)

    async def plain(self, request: web.Request) -> web.Response:
        """No ranges."""
        return web.Response(body=self.hit(request))

    async def live(self, request: web.Request) -> web.StreamResponse:
        """No length: chunks, as a radio station."""
        data = self.hit(request)
        response = web.StreamResponse()
        await response.prepare(request)
        for at in range(0, len(data), 4_000):
            await response.write(data[at : at + 4_000])
        return response

    async def flaky(self, request: web.Request) -> web.StreamResponse:
        """Ranges, but every connection breaks after a third of the file."""
        data = self.hit(request)
        first = request.http_range.start or 0
        headers = {
            "Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}",
            "Content-Length": str(len(data) - first),
        }
        return await self._break_after(request, data[first:], len(data) // 3, 206, headers)

    async def dying(self, request: web.Request) -> web.StreamResponse:
        """No ranges; breaks half-way."""
        data = self.hit(request)
        return await self._break_after(request, data, len(data) // 2, 200, {"Content-Length": str(len(data))})

    async def dying_for_good(self, request: web.Request) -> web.StreamResponse:
        """Ranges; breaks half-way, and refuses from then on."""
        data = self.hit(request)
        first = request.http_range.start or 0
        headers = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
        headers["Content-Length"] = str(len(data) - first)
        return await self._break_after(request, data[first:], max(0, len(data) // 2 - first), 206, headers)

    async def hanging(self, request: web.Request) -> web.StreamResponse:
        """Half of it, then nothing, with the connection open."""
        data = self.hit(request)
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        await self.hung.wait()
        return response

    async def mute(self, request: web.Request) -> web.StreamResponse:
        """Not even a status line."""
        self.hit(request)
        await self.hung.wait()
        return web.Response()

    async def redirect(self, request: web.Request) -> web.Response:
        self.hits["redirect"] = self.hits.get("redirect", 0) + 1
        return web.Response(status=302, headers={"Location": request.query.get("to", "")})

    async def _break_after(
        self, request: web.Request, body: bytes, count: int, status: int, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        if count:
            await response.write(body[:count])
        if request.transport is not None and count < len(body):
            request.transport.close()
        return response


@asynccontextmanager
async def serving(files: dict[str, bytes], *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    """The site, up while the block runs."""
    site = Site(files)
    app = web.Application()
    for kind in ("ranged", "plain", "live", "flaky", "dying", "dying_for_good", "hanging", "mute"):
        app.router.add_get(f"/{kind}/{{name}}", getattr(site, kind))
    app.router.add_get("/redirect", site.redirect)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        listener = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await listener.start()
        site.port = runner.addresses[0][1]
        yield site
    finally:
        site.hung.set()
        await runner.cleanup()
