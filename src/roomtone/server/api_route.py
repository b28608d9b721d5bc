"""What all of the HTTP API's handlers share: a route's description, bodies in, answers and problems out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from aiohttp import web

from roomtone.room.errors import RoomError
from roomtone.server.problems import Problem

Handler = Callable[[web.Request], Awaitable[web.Response]]
Body = TypeVar("Body")

_STATUSES: Final = {
    "unknown_participant": 404,
    "unknown_track": 404,
    "limit_reached": 503,
    "not_permitted": 409,
    "invalid": 409,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One operation: what is served, and what openapi.json says of it.

    grant: what the bearer token has to allow, None for nobody asks. body, answer: structs of api_types.
    errors: the statuses of its problem documents, besides 401 and 403 where there is a grant.
    """

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    grant: str | None = None
    body: Any = None
    answer: Any = None
    status: int = 200
    errors: tuple[int, ...] = field(default=())


def now() -> float:
    """The rooms' clock: the event loop's."""
    return asyncio.get_running_loop().time()


def answer(value: Any, status: int = 200, *, location: str | None = None) -> web.Response:
    """`value` as JSON."""
    headers = {"Location": location} if location is not None else None
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json", headers=headers
    )


def no_content() -> web.Response:
    """Done, and nothing to tell."""
    return web.Response(status=204)


async def read_body(request: web.Request, kind: type[Body]) -> Body:
    """The request's JSON body. Raises Problem: 400 for broken JSON, 422 for fields that do not fit."""
    data = await request.read()
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise Problem(422, "invalid", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "invalid_json", f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise Problem(400, "invalid_json", "the body is nested too deeply") from error


def problem_of(error: RoomError) -> Problem:
    """A room's refusal over HTTP."""
    return Problem(_STATUSES.get(error.code, 409), error.code, str(error))


def path_to(*parts: str) -> str:
    """/v1/... with each part escaped."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)
