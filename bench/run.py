"""Run every benchmark and print one table: `make bench`, or `python bench/run.py [--quick] [--only ROW]`.

Each row is a script of its own in this directory that takes --json and --quick; docs/benchmarks.md explains.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from _jitter_rows import jitter_rows
from _table import Row, console, print_rows

BENCH = Path(__file__).resolve().parent
RESULTS = BENCH / "results" / "latest.json"
SCRIPTS = ("fanout", "delay", "memory", "stuck", "jitter_buffer", "mouth_to_ear", "broadcaster")


def machine() -> dict[str, Any]:
    """What the figures were measured on, without naming the host."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "architecture": platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def run_script(name: str, quick: bool, directory: Path) -> dict[str, Any]:
    """One script's JSON; `failed` in it where the script did not end well."""
    path = directory / f"{name}.json"
    command = [sys.executable, str(BENCH / f"{name}.py"), "--json", str(path)]
    if quick:
        command.append("--quick")
    start = time.monotonic()
    code = subprocess.run(command, check=False).returncode
    # A script may end with 1 to say that a target was missed; its rows say which.
    figures: dict[str, Any] = {"failed": f"exit code {code}"}
    if path.exists():
        figures = json.loads(path.read_text(encoding="utf-8"))
    figures["took_s"] = round(time.monotonic() - start, 1)
    return figures


def summary(results: dict[str, dict[str, Any]]) -> list[Row]:
    """All rows of all scripts."""
    rows = []
    for name, figures in results.items():
        if "failed" in figures:
            rows.append(Row(f"bench/{name}.py", figures["failed"], "", "", False))
        rows += [Row(**row) for row in figures.get("rows", ())]
        if "lossy" in figures:
            rows += jitter_rows(figures)
    return rows


def markdown(rows: list[Row]) -> str:
    """The table as docs/benchmarks.md carries it."""
    lines = ["| what | measured | reference, same run | reach | reached |", "|---|---|---|---|---|"]
    for row in rows:
        met = "" if row.met is None else "yes" if row.met else "**no**"
        lines.append(f"| {row.name} | {row.measured} | {row.reference} | {row.target} | {met} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="run every benchmark and print one table")
    parser.add_argument("--quick", action="store_true", help="a smoke test of about a minute")
    parser.add_argument("--only", action="append", choices=SCRIPTS, help="this one; may be repeated")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures go")
    parser.add_argument("--markdown", type=Path, help="write the table here too, as docs/benchmarks.md has it")
    options = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        for name in options.only or SCRIPTS:
            console.rule(name)
            results[name] = run_script(name, options.quick, Path(directory))
    rows = summary(results)
    console.rule("all")
    print_rows("quick run: the figures are of no worth" if options.quick else "Roomtone's benchmarks", rows)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    data = {"machine": machine(), "quick": options.quick, "results": results}
    options.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    if options.markdown is not None:
        options.markdown.write_text(markdown(rows), encoding="utf-8")
    console.print(f"as JSON: {options.json}")
    return 1 if any("failed" in figures for figures in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
