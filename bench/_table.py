"""What every benchmark prints: a table for people, JSON for programs, each figure beside its reference."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console(width=None if Console().is_terminal else 150)


@dataclass
class Row:
    """One measured figure. `target` is in words; `met` is None where there is nothing to reach."""

    name: str
    measured: str
    reference: str
    target: str
    met: bool | None
    details: dict[str, Any] = field(default_factory=dict)


def arguments(description: str) -> argparse.Namespace:
    """The two options that each benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="a smoke test: figures of no worth")
    return parser.parse_args()


def print_rows(title: str, rows: list[Row]) -> None:
    """One table."""
    table = Table(title=title, title_justify="left")
    for name in ("what", "measured", "reference, same run", "reach"):
        table.add_column(name)
    table.add_column("", justify="center")
    for row in rows:
        mark = "" if row.met is None else "[green]yes[/]" if row.met else "[red]no[/]"
        table.add_row(row.name, row.measured, row.reference, row.target, mark)
    console.print(table)


def finish(title: str, rows: list[Row], options: argparse.Namespace) -> None:
    """Print the rows, and write them where --json says."""
    print_rows(title, rows)
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        data = {"title": title, "quick": options.quick, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
