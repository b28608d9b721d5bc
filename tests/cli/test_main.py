"""What all commands have in common."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib.metadata import version

import pytest

from tests.cli.conftest import Ran
from tests.cli.processes import ran

Command = Callable[..., Ran]
COMMANDS = ["serve", "demo", "token", "stream", "listen", "rooms", "bench", "config"]


def test_help_names_all_commands(roomtone: Command) -> None:
    """Each with a line of what it does; each has help of its own."""
    shown = roomtone("--help")
    assert shown.code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in shown.out
        one = roomtone(name, "--help")
        assert one.code == 0
        assert one.out.startswith(f"Usage: roomtone {name}")


def test_the_version_is_the_packages(roomtone: Command) -> None:
    """--version, and the module as a command."""
    assert roomtone("--version").out == f"roomtone {version('roomtone')}\n"
    assert ran("--version") == (0, f"roomtone {version('roomtone')}\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense"], "nonsense"),
        (["listen"], "--room"),
        (["stream", "--room", "r"], "SOURCE"),
        (["listen", "--room", "r", "--duration", "never"], "--duration"),
        (["listen", "--room", "r", "--output", "a.mp3"], ".wav"),
        (["listen", "--room", "r", "--output", "-", "--json"], "standard output"),
        (["listen", "--room", "r", "--url", "ftp://x"], "ftp://x"),
        (["listen", "--room", "r", "--url", "http://voice.example"], "ROOMTONE_TOKEN"),
        (["stream", "a.wav", "--room", "r", "--bitrate", "1"], "--bitrate"),
        (["stream", "a.wav", "--room", "r", "--frame-ms", "7"], "frame_ms"),
        (["stream", "-", "--room", "r", "--rate", "1"], "sample rate"),
        (["stream", "-", "--loop", "--room", "r"], "looped"),
        (["rooms", "create"], "ROOM"),
    ],
)
def test_wrong_usage_is_told_in_one_line(roomtone: Command, arguments: list[str], says: str) -> None:
    """Exit code 2, nothing on standard output."""
    result = roomtone(*arguments)
    assert (result.code, result.out) == (2, "")
    assert says.lower() in result.error.lower()


@pytest.mark.parametrize(
    "arguments",
    [["rooms", "list"], ["listen", "--room", "r"], ["bench", "fanout", "--listeners", "1", "--seconds", "0.5"]],
)
def test_nobody_there_is_exit_code_4(roomtone: Command, arguments: list[str]) -> None:
    """And the line says how to start a server."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        result = roomtone(*arguments, "--url", f"http://127.0.0.1:{nobody.getsockname()[1]}")
    assert (result.code, result.out) == (4, "")
    assert "roomtone serve" in result.error


def test_half_a_key_is_wrong_usage(roomtone: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key without its secret signs nothing."""
    monkeypatch.setenv("ROOMTONE_API_KEY", "mine")
    result = roomtone("rooms", "list")
    assert result.code == 2
    assert "go together" in result.error
    monkeypatch.setenv("ROOMTONE_API_SECRET", "short")
    assert "32 bytes" in roomtone("rooms", "list").error
