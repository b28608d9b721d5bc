"""Errors over HTTP, as problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from roomtone.logs import get_logger

log = get_logger(__name__)

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):
    """Raised by a handler: answered with this status and a problem document. `code` is stable, for programs."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code


def problem_response(status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None) -> web.Response:
    """The document: type (about:blank), title, status, detail, and our own `code`."""
    body = {
        "type": "about:blank",
        "title": web_reason(status),
        "status": status,
        "code": code,
        "detail": detail,
    }
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=CONTENT_TYPE, headers=headers)


def web_reason(status: int) -> str:
    """The status's usual phrase."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


@web.middleware
async def problems_middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every error that leaves the server over HTTP is a problem document."""
    try:
        return await handler(request)
    except Problem as problem:
        return problem_response(problem.status, problem.code, str(problem))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        code = {404: "not_found", 405: "method_not_allowed", 413: "body_too_big"}.get(error.status, "http_error")
        return problem_response(error.status, code, error.reason, headers=headers)
    except ConnectionError:
        raise
    except Exception as error:
        # The root of an HTTP request: the fault is ours, the client learns no more than that.
        log.exception("request failed", path=request.path, error=repr(error))
        return problem_response(500, "internal_error", "the server failed; its log says why")
