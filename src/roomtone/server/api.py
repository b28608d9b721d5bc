"""The HTTP API's routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from roomtone.server.app import Server


def add_api_routes(app: web.Application, server: Server) -> None:
    """Put every route of the HTTP API on `app`."""

    async def healthz(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    app.router.add_get("/healthz", healthz)
