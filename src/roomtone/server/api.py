"""The HTTP API: every route of it, on one application."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aiohttp import web

from roomtone.server.api_access import Access
from roomtone.server.api_health import HealthRoutes
from roomtone.server.api_participants import ParticipantRoutes
from roomtone.server.api_rooms import RoomRoutes
from roomtone.server.api_route import Route
from roomtone.server.api_streams import StreamRoutes
from roomtone.server.cors import finish_headers, preflight_middleware
from roomtone.server.metrics import Metrics

if TYPE_CHECKING:
    from roomtone.server.app import Server

_PART: Final = re.compile(r"{(\w+)}")


def add_api_routes(app: web.Application, server: Server) -> None:
    """Put the routes on `app`, and the metrics' sampler into its life. Called on the server's loop."""
    access = Access(server.keyring)
    metrics = Metrics(server)
    health = HealthRoutes(server, access, metrics)
    routes: list[Route] = [
        *RoomRoutes(server, access).routes(),
        *ParticipantRoutes(server, access).routes(),
        *StreamRoutes(server, access).routes(),
        *health.routes(),
    ]
    health.describe(routes)
    for route in routes:
        # By itself aiohttp takes no braces in a part of a path, which names may have.
        path = _PART.sub(r"{\1:[^/]+}", route.path)
        app.router.add_route(route.method, path, route.handler)
        if route.method == "GET":
            app.router.add_route("HEAD", path, route.handler)
    # Public: it says nothing that the documentation does not.
    app.router.add_get("/v1/openapi.json", health.openapi)
    app.middlewares.append(preflight_middleware)
    app.on_response_prepare.append(finish_headers)

    async def start(_: web.Application) -> None:
        metrics.start()

    async def stop(_: web.Application) -> None:
        metrics.stop()

    app.on_startup.append(start)
    app.on_cleanup.append(stop)
