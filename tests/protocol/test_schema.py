from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from roomtone.protocol import schema
from tests.protocol.vectors import ROOT, named, vectors

MESSAGES = vectors("messages.json")
SCHEMA = json.loads((ROOT / schema.DEFAULT_PATH).read_text(encoding="utf-8"))
# What a schema of types cannot tell: the state of the session, and the size and depth of any JSON value.
_NOT_BY_SCHEMA = ("session_start", "session_started", "data over")


def validator(side: str) -> jsonschema.Draft202012Validator:
    name = {"client": "ClientMessage", "server": "ServerMessage"}[side]
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", "$defs": SCHEMA["$defs"]})


def test_committed_file_is_current() -> None:
    """`python -m roomtone.protocol.schema` was run after the last change of a message."""
    assert (ROOT / schema.DEFAULT_PATH).read_text(encoding="utf-8") == schema.render()


def test_it_is_a_schema() -> None:
    """The document is valid JSON Schema 2020-12."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_main_writes_where_it_is_told(tmp_path: Path) -> None:
    """The one argument is the file."""
    schema.main([str(tmp_path / "out.json")])
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == SCHEMA


@pytest.mark.parametrize("side", ["client", "server"])
def test_valid_vectors_fit(side: str) -> None:
    """Every message that the code takes fits the schema."""
    for vector in MESSAGES[side]["valid"]:
        validator(side).validate(json.loads(vector["text"]))


@pytest.mark.parametrize(
    "vector",
    **named(
        [
            vector
            for vector in MESSAGES["client"]["invalid"]
            if vector["result"] == "invalid" and not vector["name"].startswith(_NOT_BY_SCHEMA)
        ]
    ),
)
def test_invalid_vectors_do_not_fit(vector: dict[str, Any]) -> None:
    """Every message that the code refuses for its fields is refused by the schema too."""
    assert not validator("client").is_valid(json.loads(vector["text"]))
