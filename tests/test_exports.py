"""The public surface is a deliberate list."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

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


def test_every_event_has_a_public_name() -> None:
    """Whatever room.events() gives can be matched with names of the package."""
    public = {getattr(roomtone, name) for name in roomtone.__all__ if isinstance(getattr(roomtone, name), type)}
    assert set(get_args(roomtone.RoomEvent)) <= public


def test_what_is_handed_out_has_a_public_name() -> None:
    """The types that the public classes' methods and properties return can be written in annotations."""
    public = {getattr(roomtone, name) for name in roomtone.__all__}
    handed: set[object] = set()
    for owner in (roomtone.Room, roomtone.LocalTrack, roomtone.RemoteTrack, roomtone.FrameStream):
        for name, member in vars(owner).items():
            function = member.fget if isinstance(member, property) else member
            if not name.startswith(("_", "on_", "make_")) and callable(function):
                told = get_type_hints(function, None, {"SourceSpec": object})["return"]
                handed |= {get_origin(one) or one for one in (told, *get_args(told))}
    ours = {kind for kind in handed if isinstance(kind, type) and kind.__module__.startswith("roomtone.")}
    assert ours >= {roomtone.FrameStream, roomtone.EventWait, roomtone.LocalStatistics}
    assert ours <= public


def test_import_is_light() -> None:
    """Importing the package loads neither the media libraries nor the server."""
    heavy = "{'numpy', 'av', 'aiohttp', 'pydantic', 'typer', 'prometheus_client'}"
    program = f"import sys, roomtone; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
