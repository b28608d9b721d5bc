"""The OpenAPI 3.1 document, made of the routes and of the very structs that parse the bodies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec

from roomtone.server.api_route import Route
from roomtone.server.api_types import ProblemDocument
from roomtone.server.problems import CONTENT_TYPE, web_reason

_REFERENCES: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"{(\w+)}")
_PARAMETERS: Final = {
    "room": "the room's name",
    "identity": "the participant's identity",
    "stream": "the stream's id",
}


def openapi_document(routes: Sequence[Route]) -> dict[str, Any]:
    """As JSON-ready objects. The WebSocket at /v1/connect is not in it: docs/protocol.md describes that."""
    structs = [ProblemDocument]
    for route in routes:
        structs += [one for one in (route.body, route.answer) if one is not None and one not in structs]
    schemas, components = msgspec.json.schema_components(structs, ref_template=_REFERENCES)
    references = dict(zip(structs, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Roomtone",
            "version": _version(),
            "description": "Rooms, participants and streams of a Roomtone server. Errors are problem documents "
            "(RFC 9457).",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A Roomtone token with the operation's grant, as `roomtone token` mints it.",
                }
            },
        },
    }


def _operation(route: Route, references: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": route.name, "summary": route.summary}
    names = _PARAMETER.findall(route.path)
    if names:
        operation["parameters"] = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": _PARAMETERS[name],
                "schema": {"type": "string"},
            }
            for name in names
        ]
    if route.grant is not None:
        operation["security"] = [{"token": []}]
        operation["description"] = f"Needs the grant `{route.grant}`."
    else:
        operation["security"] = []
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(references[route.body])}
    operation["responses"] = _responses(route, references)
    return operation


def _responses(route: Route, references: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": web_reason(route.status)}
    if route.answer is not None:
        good["content"] = _json(references[route.answer])
    responses = {str(route.status): good}
    if route.name == "createRoom":
        responses["200"] = {"description": "The room was there already.", "content": good["content"]}
    errors = set(route.errors) | ({401, 403} if route.grant is not None else set())
    if route.body is not None:
        errors.add(413)
    problem = {CONTENT_TYPE: {"schema": references[ProblemDocument]}}
    for status in sorted(errors):
        responses[str(status)] = {"description": web_reason(status), "content": problem}
    return responses


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _version() -> str:
    try:
        return version("roomtone")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0"
