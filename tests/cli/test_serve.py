"""`roomtone serve` as a process."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from roomtone.cli.settings import NOT_FLAGS
from roomtone.server.config import Config
from tests.cli.certificates import write_certificate
from tests.cli.conftest import Ran
from tests.cli.processes import finished, log_event, ran, serving, started

Command = Callable[..., Ran]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it(number: signal.Signals) -> None:
    """It announces, stops, and ends with exit code 0."""
    with serving() as (url, process):
        with urllib.request.urlopen(url + "/healthz") as response:
            assert json.load(response) == {"status": "ok"}
        process.send_signal(number)
        log_event(process, "stopped")
        code, _, err = finished(process)
        assert (code, err) == (0, "")


def test_a_second_signal_aborts() -> None:
    """Whoever does not want to wait for the sessions signals again: exit code 1."""
    with serving("--drain-timeout-s", "30") as (url, process):
        listener = started(["listen", "--room", "r", "--url", url, "--json"])
        try:
            log_event(process, "session started")
            process.send_signal(signal.SIGTERM)
            assert log_event(process, "draining")["connections"] == 1
            process.send_signal(signal.SIGTERM)
            assert finished(process)[0] == 1
        finally:
            listener.send_signal(signal.SIGINT)
            finished(listener)


def test_dev_is_loud() -> None:
    """Nobody should run a public server with a well-known key by accident."""
    process = started(["serve", "--dev", "--port", "0"])
    try:
        assert process.stderr is not None
        panel = [process.stderr.readline() for _ in range(4)]
        assert "Development mode" in "".join(panel)
    finally:
        process.send_signal(signal.SIGTERM)
        finished(process)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--dev", "--host", "0.0.0.0"], "--allow-remote-dev"),
        ([], "ROOMTONE_API_KEY"),
        (["--dev", "--max-rooms", "0"], "max_rooms"),
        (["--dev", "--port", "70000"], "port"),
        (["--dev", "--lag-close-ms", "1000", "--lag-drop-ms", "1000"], "lag_close_ms"),
        (["--dev", "--tls-cert", "/none.pem"], "tls"),
        (["--dev", "--media-dir", "/none"], "media_dir"),
        (["--dev", "--config", "/none.toml"], "/none.toml does not exist"),
        (["--api-key", "k"], "api_secret"),
        (["--dev", "--log-level", "loud"], "loud"),
        (["--dev", "--nonsense"], "--nonsense"),
        (["--dev", "--host", "192.0.2.1", "--allow-remote-dev", "--port", "0"], "192.0.2.1"),
    ],
)
def test_wrong_settings_are_told_in_one_line(roomtone: Command, flags: list[str], says: str) -> None:
    """Exit code 2, one line that names what is wrong; a warning of --dev may stand before it."""
    result = roomtone("serve", *flags)
    assert (result.code, result.out) == (2, "")
    assert says in result.error


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = [", "not valid TOML"),
        ("prot = 1", "prot"),
        ('port = "many"', "port"),
        ('[[keys]]\nid = "k"\nsecret = "short"', "'k'"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(roomtone: Command, tmp_path: Path, text: str, says: str) -> None:
    """roomtone.toml of the working directory is read without being named."""
    (tmp_path / "roomtone.toml").write_text(text)
    result = roomtone("serve")
    assert result.code == 2
    assert says in result.error
    assert len(result.err.splitlines()) == 1


def test_a_taken_port_is_told_in_one_line(roomtone: Command) -> None:
    """The mend is another port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = roomtone("serve", "--dev", "--port", str(taken.getsockname()[1]))
    assert result.code == 2
    assert "is taken by another program" in result.error
    assert "--port" in result.error


def test_the_environment_is_read() -> None:
    """ROOMTONE_* without flags: a server with a key of its own, whose tokens open it."""
    secret = "0123456789abcdef0123456789abcdef"
    key = {"ROOMTONE_API_KEY": "mine", "ROOMTONE_API_SECRET": secret}
    with serving("--no-dev", **key) as (url, _):
        assert ran("rooms", "list", "--url", url, **key)[0] == 0
        code, _, err = ran("rooms", "list", "--url", url)
        assert (code, "issuer" in err) == (3, True)


def test_tls_is_served(tmp_path: Path) -> None:
    """With a certificate and its key the address is https."""
    certificate, key = write_certificate(tmp_path)
    with serving("--tls-cert", str(certificate), "--tls-key", str(key)) as (url, _):
        assert url.startswith("https://127.0.0.1:")
        context = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(url + "/healthz", context=context) as response:
            assert response.status == 200


def test_a_wrong_certificate_is_told_in_one_line(roomtone: Command, tmp_path: Path) -> None:
    """A file that is no certificate."""
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("no certificate")
    result = roomtone("serve", "--dev", "--port", "0", "--tls-cert", "cert.pem", "--tls-key", "key.pem")
    assert result.code == 2
    assert "--tls-cert" in result.error


def test_logs_do_not_hold_tokens() -> None:
    """What a session was opened with is nobody's to read later."""
    with serving("--log-level", "debug") as (url, process):
        code, out, _ = ran("token", "--dev", "--identity", "ada", "--room", "r")
        assert code == 0
        token = out.strip()
        assert ran("listen", "--room", "r", "--url", url, "--token", token, "--duration", "0.2")[0] == 0
        process.send_signal(signal.SIGTERM)
        log = finished(process)[2]
    assert token.split(".")[2] not in log


def test_help_lists_every_setting(roomtone: Command) -> None:
    """One schema: what the file may hold, a flag may say, but for secrets."""
    shown = roomtone("serve", "--help")
    assert shown.code == 0
    for name in Config.model_fields:
        assert (f"--{name.replace('_', '-')} " in shown.out) == (name not in NOT_FLAGS)
