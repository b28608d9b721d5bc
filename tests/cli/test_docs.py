"""The page on the command line tells what there is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from roomtone.cli.commands import app
from roomtone.cli.exits import ExitCode

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8")
ROOT: Any = typer.main.get_command(app)


def commands() -> Iterator[tuple[str, Any]]:
    """("rooms list", the command) and so on."""
    for name, command in ROOT.commands.items():
        if hasattr(command, "commands"):
            for inner, leaf in command.commands.items():
                yield f"{name} {inner}", leaf
        else:
            yield name, command


def examples() -> list[str]:
    """Every command line in the pages."""
    found = []
    for path in sorted(DOCS.rglob("*.md")):
        for line in re.findall(r"^\$ (.*roomtone .*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            found += re.findall(r"(?:^|\| |\$\()roomtone ([^|)#]*)", line)
    return found


def test_every_command_has_its_place() -> None:
    """A section each, and each subcommand in an example."""
    for name in ROOT.commands:
        assert f"\n## {name}\n" in PAGE
    for name, _ in commands():
        assert f"roomtone {name}" in PAGE


def test_every_flag_is_explained() -> None:
    """Those of serve stand in the settings' page."""
    for name, command in commands():
        if name in ("serve", "config show"):
            continue
        flags = {flag for one in command.params for flag in one.opts if flag.startswith("--")} - {"--help"}
        if name == "rooms list" or name.startswith("rooms "):
            flags -= {"--json", "--quiet"}
        missing = {flag for flag in flags if f"`{flag}" not in PAGE and f" {flag} " not in PAGE}
        assert not missing, f"{name}: {missing}"


def test_every_exit_code_is_explained() -> None:
    """In the table."""
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)} == {int(code) for code in ExitCode}


@pytest.mark.parametrize("line", examples())
def test_every_example_is_a_command_line(line: str) -> None:
    """Flags and arguments as the commands take them; nothing is run."""
    words = shlex.split(line.split(" &")[0].split(" > ")[0])
    context = ROOT.make_context("roomtone", list(words), resilient_parsing=True)
    command, rest = ROOT, [*context._protected_args, *context.args]
    while hasattr(command, "commands"):
        assert rest, f"{line}: which command?"
        assert rest[0] in command.commands, f"{line}: {rest[0]} is no command"
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context("roomtone", rest, resilient_parsing=False)
