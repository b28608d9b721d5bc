"""The golden vectors of schema/vectors/ and other committed files that the tests here read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def vectors(name: str) -> dict[str, Any]:
    """One file of schema/vectors/, parsed."""
    loaded: dict[str, Any] = json.loads((ROOT / "schema" / "vectors" / name).read_text(encoding="utf-8"))
    return loaded


def payload(vector: dict[str, Any]) -> bytes:
    """The bytes of a vector that is either `text` or `hex`."""
    if "text" in vector:
        return str(vector["text"]).encode()
    return bytes.fromhex(vector["hex"])


def named(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Arguments for pytest.mark.parametrize: the entries, told apart by their names."""
    return {"argvalues": entries, "ids": [entry["name"] for entry in entries]}
