"""JSON Schema of the control messages, made from messages.py.

`python -m roomtone.protocol.schema [FILE]` writes it, by default to schema/messages.schema.json.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any, Final

import msgspec

from roomtone.protocol.messages import ClientMessage, ServerMessage

_TRACK_ID: Final = "^(0|[1-9][0-9]{0,4})$"
DEFAULT_PATH: Final = Path("schema/messages.schema.json")


def message_schema() -> dict[str, Any]:
    """JSON Schema 2020-12; `$defs` holds ClientMessage, ServerMessage and one entry for each of their types.

    The document itself describes a message of either side. Unknown fields are allowed, as the protocol wants.
    """
    unions, definitions = msgspec.json.schema_components((ClientMessage, ServerMessage), ref_template="#/$defs/{name}")
    client, server = unions
    for definition in definitions.values():
        if "description" in definition:
            definition["description"] = inspect.cleandoc(definition["description"])
    # JSON's keys are text; what the text must be, msgspec does not tell.
    definitions["ReceiveReport"]["properties"]["sequences"]["propertyNames"] = {"pattern": _TRACK_ID}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Roomtone protocol v1: control messages",
        "anyOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/ServerMessage"}],
        "$defs": {
            "ClientMessage": {"title": "ClientMessage", "description": "From a client to the server."} | client,
            "ServerMessage": {"title": "ServerMessage", "description": "From the server to a client."} | server,
        }
        | dict(sorted(definitions.items())),
    }


def render() -> str:
    """The file's text."""
    return json.dumps(message_schema(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> None:
    """Write the schema to the one path given, or to DEFAULT_PATH."""
    path = Path(arguments[0]) if arguments else DEFAULT_PATH
    path.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
