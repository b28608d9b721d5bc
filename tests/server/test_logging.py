"""How logs come out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from roomtone.logs import get_logger
from roomtone.server.logging import setup_logging


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Other tests keep the logging they had."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Our own events and the standard library's in one form, on standard error."""
    setup_logging("json", "info")
    get_logger("a").info("joined", room="lobby")
    logging.getLogger("aiohttp").warning("something %s", "odd")
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second = (json.loads(line) for line in captured.err.splitlines())
    assert (first["event"], first["room"], first["level"]) == ("joined", "lobby", "info")
    assert (second["event"], second["level"]) == ("something odd", "warning")
    assert first["timestamp"].endswith("Z")


def test_exceptions_are_inside_the_object(capsys: pytest.CaptureFixture[str]) -> None:
    """A traceback does not break the lines."""
    setup_logging("json", "info")
    try:
        raise ValueError("no")
    except ValueError:
        get_logger("a").exception("failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: no" in json.loads(line)["exception"]


def test_the_console_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """No colour where nobody looks."""
    setup_logging("console", "info")
    get_logger("a").info("joined", room="lobby")
    text = capsys.readouterr().err
    assert "joined" in text
    assert "room=lobby" in text
    assert "\x1b" not in text


def test_below_the_level_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Of ours and of others."""
    setup_logging("console", "warning")
    get_logger("a").info("ours")
    logging.getLogger("b").info("theirs")
    assert capsys.readouterr().err == ""


def test_the_last_setup_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """Twice is not two lines."""
    setup_logging("console", "debug")
    setup_logging("json", "info")
    get_logger("a").debug("unheard")
    get_logger("a").info("heard")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "heard"
