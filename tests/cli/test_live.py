"""What is shown while something goes on."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from roomtone.cli.live import METER_CELLS, LiveView, meter
from roomtone.cli.output import Output, shown


@pytest.mark.parametrize(("level", "cells"), [(0, METER_CELLS), (30, METER_CELLS // 2), (60, 0), (127, 0)])
def test_the_meter_fills_with_the_level(level: int, cells: int) -> None:
    """From -60 dB to 0, always of one width."""
    bar = meter(level).plain
    assert (bar.count("█"), len(bar)) == (cells, METER_CELLS)


def on_terminal(output: Output, columns: int = 100) -> io.StringIO:
    """Let standard error be a terminal; what it gets."""
    screen = io.StringIO()
    output.errors = Console(file=screen, force_terminal=True, width=columns, highlight=False)
    return screen


def test_a_terminal_gets_a_line_that_moves() -> None:
    """Redrawn each time, gone at the end."""
    output = Output()
    screen = on_terminal(output)
    with LiveView(output, "title") as view:
        for second in range(3):
            view.show(float(second), 20, {"time": f"{second} s", "kbit/s": "31.0"}, {})
    text = screen.getvalue()
    assert "title" in text
    assert all(f"{second} s" in text for second in range(3))
    assert "kbit/s" in text
    assert "\x1b[" in text


def test_a_pipe_gets_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, every three seconds, without colour."""
    with LiveView(Output(), "title") as view:
        for tenth in range(70):
            view.show(tenth / 10, 20, {"seconds": f"{tenth / 10:.1f}", "kbit/s": "31.0"}, {"a": 1})
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == "title"
    assert [line.split("dB")[1].strip() for line in lines[1:]] == [
        f"seconds {seconds}  kbit/s 31.0" for seconds in ("0.0", "3.0", "6.0")
    ]
    assert "\x1b" not in captured.err


def test_programs_get_an_object_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output, and nothing else anywhere."""
    with LiveView(Output(json=True), "title") as view:
        for tenth in range(20):
            view.show(tenth / 10, 20, {"a": "b"}, {"tenth": tenth})
    captured = capsys.readouterr()
    assert captured.err == ""
    assert [json.loads(line) for line in captured.out.splitlines()] == [
        {"event": "progress", "tenth": 0},
        {"event": "progress", "tenth": 10},
    ]


def test_quiet_shows_results_only(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither title nor lines, but warnings."""
    output = Output(quiet=True)
    with LiveView(output, "title") as view:
        view.show(0.0, 20, {"a": "b"}, {})
    output.note("note")
    output.line("result", key=1)
    output.warn("[watch] out")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("result\n", "[watch] out\n")


def test_tables_do_not_read_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A room may be called what it likes."""
    Output().table("", [{"name": "[red]room[/red]", "count": 3}], {"name": "name", "count": "count"})
    assert "[red]room[/red]" in capsys.readouterr().out


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (True, "yes"), (False, "no"), (1.25, "1.2"), (3, "3")])
def test_cells_are_for_people(value: object, text: str) -> None:
    """What a table shows of a value."""
    assert shown(value) == text
