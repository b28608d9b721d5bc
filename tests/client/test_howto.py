"""The client's how-to page speaks of what there is."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import roomtone
from roomtone.client.local_track import LocalTrack
from roomtone.client.remote_track import RemoteTrack

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "client.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
OWNERS = {"room": roomtone.Room, "api": roomtone.ServerApi}


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_is_python_of_ours(block: str) -> None:
    """It compiles, each method it calls exists, and takes the arguments it is given."""
    tree = compile(block, "client.md", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "roomtone":
            assert node.attr in (*roomtone.__all__, "media")
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if not isinstance(node.func.value, ast.Name):
            continue
        name, method = node.func.value.id, node.func.attr
        owners = [OWNERS[name]] if name in OWNERS else [LocalTrack, RemoteTrack] if name == "track" else []
        if owners:
            function = next(getattr(owner, method) for owner in owners if hasattr(owner, method))
            keywords = {keyword.arg: None for keyword in node.keywords}
            inspect.signature(function).bind(None, *node.args, **keywords)


def test_every_method_in_the_table_exists() -> None:
    """The table of a track's methods names real ones."""
    named = re.findall(r"`(?:await )?track\.(\w+)", PAGE)
    assert named
    assert all(hasattr(LocalTrack, name) or hasattr(RemoteTrack, name) for name in named)
