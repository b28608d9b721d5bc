"""What all of the HTTP API's routes have in common."""

from __future__ import annotations

import asyncio
from typing import Any

import jsonschema
import pytest

from roomtone.server.app import Server
from roomtone.server.auth import Key, mint
from tests.server.http import ALL_GRANTS, calling, is_problem

ROUTES = [
    ("POST", "/v1/rooms"),
    ("GET", "/v1/rooms"),
    ("GET", "/v1/rooms/lobby"),
    ("DELETE", "/v1/rooms/lobby"),
    ("GET", "/v1/rooms/lobby/participants"),
    ("GET", "/v1/rooms/lobby/participants/ada"),
    ("PATCH", "/v1/rooms/lobby/participants/ada"),
    ("DELETE", "/v1/rooms/lobby/participants/ada"),
    ("POST", "/v1/rooms/lobby/messages"),
    ("POST", "/v1/rooms/lobby/streams"),
    ("GET", "/v1/rooms/lobby/streams"),
    ("GET", "/v1/rooms/lobby/streams/x"),
    ("DELETE", "/v1/rooms/lobby/streams/x"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_no_route_is_open(method: str, path: str) -> None:
    """Without a token, with a forged or an expired one: 401, and it says that a bearer token is wanted."""
    async with calling() as api:
        forged = mint(Key("devkey", "HS256", "another secret that has enough bytes"), "eve", grants=ALL_GRANTS)
        none = await api.with_token(None)(method, path)
        is_problem(none, 401, "no_token")
        assert none.headers["WWW-Authenticate"].startswith("Bearer")
        is_problem(await api.with_token(forged)(method, path), 401, "bad_token")
        basic = await api.with_token(None)(method, path, headers={"Authorization": "Basic YTpi"})
        is_problem(basic, 401, "no_token")
        is_problem(await api.granted()(method, path, json={"name": "x", "source": "x"}), 403, "grant_missing")


async def test_health_is_for_everybody() -> None:
    """Load balancers have no token."""
    async with calling() as api:
        stranger = api.with_token(None)
        for path in ("/healthz", "/readyz"):
            reply = await stranger("GET", path)
            assert (reply.status, reply.json) == (200, {"status": "ok"})
            assert (await stranger("HEAD", path)).status == 200


async def test_a_draining_server_is_not_ready() -> None:
    """readyz turns while sessions finish, healthz does not; no room and no stream begins any more."""
    async with calling() as api:
        api.server.door.closing = True
        is_problem(await api("GET", "/readyz"), 503, "draining")
        assert (await api("GET", "/healthz")).status == 200
        is_problem(await api("POST", "/v1/rooms", json={"name": "x"}), 503, "draining")
        is_problem(await api("POST", "/v1/rooms/x/streams", json={"source": "x.wav"}), 503, "limit_reached")


async def test_unknown_paths_and_methods() -> None:
    """404 and 405 are problem documents too; 405 says what is allowed."""
    async with calling() as api:
        is_problem(await api("GET", "/v1/nothing"), 404, "not_found")
        wrong = await api("PUT", "/v1/rooms")
        is_problem(wrong, 405, "method_not_allowed")
        assert {"GET", "POST"} <= set(wrong.headers["Allow"].replace(" ", "").split(","))


async def test_pages_of_allowed_origins_may_call() -> None:
    """The preflight names methods and headers, every answer the origin; other origins get nothing."""
    async with calling(allowed_origins=["https://app.example"]) as api:
        asked = {"Origin": "https://app.example", "Access-Control-Request-Method": "PATCH"}
        preflight = await api.with_token(None)("OPTIONS", "/v1/rooms/lobby/participants/ada", headers=asked)
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "PATCH" in preflight.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        reply = await api("GET", "/v1/rooms", headers={"Origin": "https://app.example"})
        assert (reply.status, reply.headers["Vary"]) == (200, "Origin")
        assert reply.headers["Access-Control-Allow-Origin"] == "https://app.example"
        error = await api("GET", "/v1/rooms/none", headers={"Origin": "https://app.example"})
        assert (error.status, error.headers["Access-Control-Allow-Origin"]) == (404, "https://app.example")
        for method in ("OPTIONS", "GET"):
            headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
            refused = await api(method, "/v1/rooms", headers=headers)
            is_problem(refused, 403, "origin_not_allowed")
            assert "Access-Control-Allow-Origin" not in refused.headers


async def test_a_rebound_host_name_is_refused() -> None:
    """A page whose name was pointed at 127.0.0.1 is another site."""
    async with calling() as api:
        refused = await api("GET", "/v1/rooms", headers={"Host": "evil.example", "Origin": "http://evil.example"})
        is_problem(refused, 421, "host_not_allowed")
        assert "Access-Control-Allow-Origin" not in refused.headers


async def test_openapi_describes_every_route() -> None:
    """The document names all routes, and the answers fit the schemas in it."""
    async with calling() as api:
        document: dict[str, Any] = (await api.with_token(None)("GET", "/v1/openapi.json")).json
        assert document["openapi"].startswith("3.1")
        described = {(method.upper(), path) for path, all_of in document["paths"].items() for method in all_of}
        assert len(described) == len(ROUTES) + 3
        for method, path in ROUTES:
            template = path.replace("lobby", "{room}").replace("ada", "{identity}").replace("/x", "/{stream}")
            assert (method, template) in described
        made = await api("POST", "/v1/rooms", json={"name": "lobby"})
        one = await api("GET", "/v1/rooms/lobby")
        wrong = await api("GET", "/v1/rooms/none")
        for reply, method, path in ((made, "post", "/v1/rooms"), (one, "get", "/v1/rooms/{room}")):
            answer = document["paths"][path][method]["responses"][str(reply.status)]
            _check(document, answer["content"]["application/json"]["schema"], reply.json)
        answer = document["paths"]["/v1/rooms/{room}"]["get"]["responses"]["404"]
        _check(document, answer["content"]["application/problem+json"]["schema"], wrong.json)


def _check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, **document}
    jsonschema.Draft202012Validator(whole).validate(value)


async def test_a_server_starts_and_stops_again() -> None:
    """Nothing of the API outlives its server."""
    before = asyncio.all_tasks()
    for _ in range(2):
        async with Server(dev=True, port=0, drain_timeout_s=0):
            pass
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
