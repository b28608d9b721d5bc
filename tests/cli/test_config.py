"""`roomtone config show`."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from roomtone.server.config import Config
from tests.cli.conftest import Ran

Command = Callable[..., Ran]


def test_flags_go_over_environment_over_file(
    roomtone: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each layer is seen where nothing is above it."""
    (tmp_path / "roomtone.toml").write_text("port = 1\nmax_rooms = 2\nmax_connections = 3\n")
    monkeypatch.setenv("ROOMTONE_MAX_ROOMS", "20")
    monkeypatch.setenv("ROOMTONE_MAX_CONNECTIONS", "30")
    shown = tomllib.loads(roomtone("config", "show", "--max-connections", "300").out)
    assert (shown["port"], shown["max_rooms"], shown["max_connections"]) == (1, 20, 300)


def test_what_is_shown_can_be_read_again(roomtone: Command, tmp_path: Path) -> None:
    """The output is a settings file with the same effect."""
    flags = ["--dev", "--allowed-origins", "https://a.example", "--allowed-origins", "https://b.example"]
    first = roomtone("config", "show", *flags, "--no-auto-create-rooms", "--empty-room-timeout-s", "2.5")
    (tmp_path / "again.toml").write_text(first.out)
    again = roomtone("config", "show", "--config", str(tmp_path / "again.toml"))
    assert again.out == first.out
    values = tomllib.loads(again.out)
    assert values["allowed_origins"] == ["https://a.example", "https://b.example"]
    assert (values["dev"], values["auto_create_rooms"], values["empty_room_timeout_s"]) == (True, False, 2.5)


def test_secrets_are_not_shown(roomtone: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of the environment nor of the file."""
    monkeypatch.setenv("ROOMTONE_API_KEY", "one")
    monkeypatch.setenv("ROOMTONE_API_SECRET", "a" * 40)
    (tmp_path / "roomtone.toml").write_text(f'[[keys]]\nid = "two"\nsecret = "{"b" * 40}"\n')
    for flags in ([], ["--json"]):
        shown = roomtone("config", "show", *flags)
        assert shown.code == 0
        assert "one" in shown.out
        assert "two" in shown.out
        assert "aaaa" not in shown.out
        assert "bbbb" not in shown.out


def test_json_holds_every_setting_with_a_value(roomtone: Command) -> None:
    """One object on one line."""
    shown = json.loads(roomtone("config", "show", "--json").out)
    expected = {name for name, value in Config().model_dump().items() if value is not None}
    assert set(shown) == expected
