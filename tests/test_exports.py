"""The public surface is a deliberate list."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import roomtone

DOCS = Path(__file__).parent.parent / "docs"


def test_all_names_exist_and_are_sorted() -> None:
    """Every public name can be had, and the list is easy to read."""
    assert list(roomtone.__all__) == sorted(roomtone.__all__)
    for name in roomtone.__all__:
        assert getattr(roomtone, name) is not None


def test_every_public_name_is_documented() -> None:
    """The reference page of the Python API names each of them, and no other."""
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^##+ `(?:roomtone\.)?(\w+)", page, flags=re.MULTILINE))
    assert documented == set(roomtone.__all__)


def test_import_is_light() -> None:
    """Importing the package loads neither the media libraries nor the server."""
    heavy = "{'numpy', 'av', 'aiohttp', 'pydantic', 'typer', 'prometheus_client'}"
    program = f"import sys, roomtone; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
