"""The HTTP API as a program without our client sees it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from roomtone.server.app import Server

ALL_GRANTS = {"room_create": True, "moderate": True, "ingress": True}


@dataclass(frozen=True)
class Reply:
    """status, parsed JSON (None for an empty body), headers."""

    status: int
    json: Any
    headers: Any
    text: str


class Api:
    """One server and calls to it."""

    def __init__(self, server: Server, session: aiohttp.ClientSession) -> None:
        self.server = server
        self._session = session
        self.token: str | None = server.token("operator", room="*", grants=ALL_GRANTS)

    def with_token(self, token: str | None) -> Api:
        """The same server with another token, or none."""
        other = Api(self.server, self._session)
        other.token = token
        return other

    def granted(self, *, room: str | None = "*", **grants: bool) -> Api:
        """The same server with a token for `room` of these grants alone."""
        return self.with_token(self.server.token("other", room=room, grants=grants))

    async def __call__(self, method: str, path: str, **options: Any) -> Reply:
        headers = dict(options.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        url = self.server.url + path
        async with self._session.request(method, url, headers=headers, **options) as response:
            text = await response.text()
            json = await response.json() if response.content_type.endswith("json") and text else None
            return Reply(response.status, json, response.headers, text)


@contextlib.asynccontextmanager
async def calling(**settings: Any) -> AsyncIterator[Api]:
    """A development server on a free port, to be called with all grants."""
    defaults = {"dev": True, "port": 0, "drain_timeout_s": 0}
    async with Server(**(defaults | settings)) as server, aiohttp.ClientSession() as session:
        yield Api(server, session)


def is_problem(reply: Reply, status: int, code: str) -> None:
    """A problem document (RFC 9457) of that status and code."""
    assert reply.status == status, reply.text
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert reply.json["status"] == status
    assert reply.json["code"] == code, reply.json
    assert reply.json["type"] == "about:blank"
    assert reply.json["detail"]
