"""What a command prints: for people on a terminal, plain lines in a pipe, JSON for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPE_COLUMNS: Final = 160


class Output:
    """Where a command's results go.

    json: one object a line on standard output, nothing else there. quiet: results only. Colour and moving
    lines only on a terminal (and never where NO_COLOR is set).
    """

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        # A pipe has no width: what is read by programs, or looked at later, must not be broken at 80 columns.
        self.console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else PIPE_COLUMNS)
        self.errors = Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def live(self) -> bool:
        """Whether a line may be redrawn in place, on standard error."""
        return self.errors.is_terminal and not (self.json or self.quiet)

    def note(self, text: str) -> None:
        """Progress, for people alone; on standard error, so that a pipe gets results only."""
        if not (self.json or self.quiet):
            self.errors.print(Text(text))

    def warn(self, text: str) -> None:
        """What has to be seen even by those who asked for quiet."""
        self.errors.print(Text(text, style="yellow"))

    def line(self, text: str, **fields: Any) -> None:
        """A result: `text` for people, `fields` as one JSON object for programs."""
        if self.json:
            self.write_json(fields)
        else:
            self.console.print(Text(text))

    def event(self, kind: str, **fields: Any) -> None:
        """Something for programs alone."""
        if self.json:
            self.write_json({"event": kind, **fields})

    def write_json(self, fields: Mapping[str, Any]) -> None:
        """One object, one line, flushed."""
        sys.stdout.write(msgspec.json.encode(fields).decode() + "\n")
        sys.stdout.flush()

    def table(self, title: str, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
        """columns: key to heading. Programs get every row with all its keys, one object a line."""
        if self.json:
            for row in rows:
                self.write_json(row)
            return
        table = Table(title=title, title_justify="left", header_style="bold")
        for key, heading in columns.items():
            number = bool(rows) and all(isinstance(row.get(key), int | float) for row in rows)
            table.add_column(heading, justify="right" if number else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(shown(row.get(key))) for key in columns))
        self.console.print(table)


def shown(value: Any) -> str:
    """A table's cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    return str(value)
