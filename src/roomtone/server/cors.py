"""Cross-origin requests (the Fetch standard's CORS): pages of `allowed_origins` may use the HTTP API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

METHODS: Final = "GET, POST, PATCH, DELETE"
HEADERS: Final = "Authorization, Content-Type"
MAX_AGE_S: Final = 600
API_PATHS: Final = ("/v1/", "/healthz", "/readyz", "/metrics")


@web.middleware
async def preflight_middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer a browser's question before the request. Whether the origin may ask was checked before this."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return await handler(request)
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": HEADERS,
            "Access-Control-Max-Age": str(MAX_AGE_S),
        },
    )


async def finish_headers(request: web.Request, response: web.StreamResponse) -> None:
    """What every answer of the API carries: whose page may read it, and that a 401 wants a bearer token (RFC 6750)."""
    if not request.path.startswith(API_PATHS):
        return
    origin = request.headers.get("Origin")
    if origin is not None and response.status not in (403, 421):
        # The origin is one of ours: others were answered with 403 or 421. No cookies are used, so none are allowed.
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Location"
        response.headers["Vary"] = "Origin"
    if response.status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="roomtone"'
    response.headers.setdefault("Cache-Control", "no-store")
