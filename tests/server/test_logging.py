"""How logs come out."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from roomtone.logs import get_logger
from roomtone.server.logging import LogFormat, setup_logging


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


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_traceback_tells_no_secret(log_format: LogFormat, capsys: pytest.CaptureFixture[str]) -> None:
    """What the variables of a function hold is not for the log."""
    setup_logging(log_format, "info")
    token = "eyJhbGciOiJIUzI1NiJ9"
    try:
        raise ValueError(len(token))
    except ValueError:
        get_logger("a").exception("failed")
    text = capsys.readouterr().err
    assert "ValueError: 20" in text
    assert token not in text


def test_what_is_no_http_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A stranger's broken request fills no log, and what was in it is not repeated."""
    setup_logging("console", "info")
    try:
        raise BadHttpMessage("Invalid header value: b'Authorization: Bearer secret'")
    except BadHttpMessage:
        logging.getLogger("aiohttp.server").exception("Error handling request from %s", "192.0.2.1")
    (line,) = capsys.readouterr().err.splitlines()
    assert "no HTTP" in line
    assert "secret" not in line
