"""What all commands have in common."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version

import pytest

from tests.cli.conftest import Ran
from tests.cli.processes import DEADLINE_S, environment, ran

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
        (["rooms", "show", ""], "printable"),
        (["listen", "--room", "a/b"], "slash"),
        (["stream", "a.wav", "--room", " a"], "outer spaces"),
        (["token", "--dev", "--identity", "a", "--ttl", "99999999999999999d"], "36500d"),
        (["token", "--identity", "a", "--key-id", "k", "--private-key", "no.pem"], "no.pem cannot be read"),
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


@pytest.mark.parametrize("arguments", [[], ["rooms"]], ids=str)
def test_without_a_command_the_help_is_shown(roomtone: Command, arguments: list[str]) -> None:
    """Line by line, and as wrong usage."""
    result = roomtone(*arguments)
    assert (result.code, result.out, result.error) == (2, "", "error: a command is missing")
    assert "\nCommands:\n  " in result.err


@pytest.mark.parametrize("arguments", ["token --dev --identity a", "token --dev --identity a --json"])
def test_a_full_disk_is_one_line(arguments: str) -> None:
    """Standard output that takes nothing: exit code 1 and a line, at whatever moment it shows."""
    code, err = shell(f"{arguments} > /dev/full")
    assert code == 1
    assert err.startswith("error: standard output cannot be written (No space left on device)")
    assert err.count("\n") == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_files_do_no_harm(closed: str) -> None:
    """A socket that got the number of standard output would be taken for it."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        code, err = shell(f"rooms list --url http://127.0.0.1:{nobody.getsockname()[1]} {closed}")
    assert code == 4
    assert err == "" if "2>" in closed else err.startswith("error: cannot reach")


def test_ctrl_c_while_it_starts_is_quiet() -> None:
    """What takes long to import is imported where KeyboardInterrupt is caught."""
    program = "import sys, roomtone.cli; print(*sorted({'typer', 'rich', 'pydantic', 'aiohttp'} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "\n"


def shell(command: str) -> tuple[int, str]:
    """(exit code, standard error) of `roomtone COMMAND` with the shell's redirections."""
    done = subprocess.run(
        f"exec {sys.executable} -m roomtone {command}",
        shell=True,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        timeout=DEADLINE_S,
        check=False,
    )
    return done.returncode, done.stderr
