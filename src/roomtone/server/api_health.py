"""/healthz, /readyz, /metrics and /v1/openapi.json: for machines that look after the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from roomtone.server.api_access import Access
from roomtone.server.api_route import Route, answer
from roomtone.server.api_types import Health
from roomtone.server.metrics import CONTENT_TYPE, Metrics
from roomtone.server.openapi import openapi_document
from roomtone.server.problems import Problem

if TYPE_CHECKING:
    from roomtone.server.app import Server


class HealthRoutes:
    """Nobody asks for a token, but /metrics does of callers that are not on this machine."""

    def __init__(self, server: Server, access: Access, metrics: Metrics) -> None:
        self._server = server
        self._access = access
        self._metrics = metrics
        self._document: bytes | None = None

    def routes(self) -> list[Route]:
        """All but the document's own."""
        return [
            Route(
                method="GET",
                path="/healthz",
                name="health",
                summary="The process answers.",
                handler=self.healthz,
                answer=Health,
            ),
            Route(
                method="GET",
                path="/readyz",
                name="ready",
                summary="The server takes new sessions; 503 once it is stopping.",
                handler=self.readyz,
                answer=Health,
                errors=(503,),
            ),
            Route(
                method="GET",
                path="/metrics",
                name="metrics",
                summary="Prometheus metrics, for this machine or with any valid token.",
                handler=self.metrics,
                errors=(401,),
            ),
        ]

    def describe(self, routes: list[Route]) -> None:
        """What /v1/openapi.json answers."""
        self._document = msgspec.json.encode(openapi_document(routes))

    async def healthz(self, request: web.Request) -> web.Response:
        """GET /healthz"""
        return answer(Health())

    async def readyz(self, request: web.Request) -> web.Response:
        """GET /readyz"""
        if self._server.is_draining:
            raise Problem(503, "draining", "the server is stopping")
        return answer(Health())

    async def metrics(self, request: web.Request) -> web.Response:
        """GET /metrics"""
        self._access.to_scrape(request)
        return web.Response(body=self._metrics.exposition(), headers={"Content-Type": CONTENT_TYPE})

    async def openapi(self, request: web.Request) -> web.Response:
        """GET /v1/openapi.json"""
        return web.Response(body=self._document, content_type="application/json")
