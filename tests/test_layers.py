"""Imports go one way, and the pure packages stay pure."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import roomtone

ROOT = Path(roomtone.__file__).parent

LAYERS: dict[str, set[str]] = {
    "assets": set(),
    "logs": set(),
    "media": set(),
    "protocol": {"media"},
    "room": {"media"},
    "sources": {"media"},
    "participants": {"logs", "media", "protocol", "room", "sources"},
    "server": {"logs", "media", "protocol", "room", "sources", "participants"},
    # the client sits in-process servers' rooms through a type only; see PEERS
    "client": {"media", "protocol", "room", "sources", "assets"},
    "cli": {"media", "protocol", "room", "sources", "participants", "server", "client", "assets"},
    "__main__": {"cli"},
}
"""What each top-level package may import of the others."""

PURE = ("media", "protocol", "room")
IMPURE_MODULES = {"asyncio", "socket", "threading", "time", "random", "secrets", "selectors", "subprocess"}


def _modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py"))


def _imports(path: Path) -> Iterator[str]:
    """Every imported module, also those inside functions; imports for type checkers only do not count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            skipped.update(id(inner) for inner in ast.walk(node))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            yield node.module


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down_only(path: Path) -> None:
    """A module imports its own package and those below it, nothing else of ours."""
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if own == "__init__":
        return
    allowed = LAYERS[own] | {own}
    for module in _imports(path):
        if module.split(".")[0] != "roomtone":
            continue
        parts = module.split(".")
        assert len(parts) > 1, f"{path} imports the package's front door"
        assert parts[1] in allowed, f"{path} imports {module}"


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_packages_have_no_clock_and_no_io(path: Path) -> None:
    """Time, chance and sockets are arguments in the pure packages."""
    if path.relative_to(ROOT).parts[0] not in PURE:
        return
    found = {module.split(".")[0] for module in _imports(path)} & IMPURE_MODULES
    assert not found, f"{path} imports {sorted(found)}"


KINDS = ("broadcaster", "websocket")
"""Who can sit in a room; files of one kind begin with its name, what several of them use with another."""


def test_participants_do_not_know_one_another() -> None:
    """No kind of participant imports another, nor does what they share import any of them."""
    for path in (ROOT / "participants").glob("*.py"):
        own = path.stem.split("_")[0]
        for module in _imports(path):
            if module.startswith("roomtone.participants."):
                other = module.split(".")[2].split("_")[0]
                assert other == own or other not in KINDS, f"{path} imports {module}"
