"""`roomtone rooms` against a server."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Ran

Command = Callable[..., Ran]


def test_rooms_are_created_listed_and_deleted(roomtone: Command, url: str) -> None:
    """The whole life of a room from a shell."""
    made = roomtone("rooms", "create", "my room", "--capacity", "5", "--stage", "--metadata", "m", "--url", url)
    assert (made.code, made.out) == (0, "my room\n")
    listed = roomtone("rooms", "list", "--url", url, "--json")
    (room,) = [json.loads(line) for line in listed.out.splitlines()]
    assert (room["name"], room["capacity"], room["stage"], room["metadata"]) == ("my room", 5, True, "m")
    table = roomtone("rooms", "list", "--url", url).out
    assert "my room" in table
    assert "\x1b" not in table
    shown = json.loads(roomtone("rooms", "show", "my room", "--url", url, "--json").out)
    assert (shown["participants"], shown["tracks"]) == ([], [])
    assert roomtone("rooms", "delete", "my room", "--url", url).code == 0
    assert roomtone("rooms", "list", "--url", url, "--json").out == ""


def test_the_address_may_stand_in_the_environment(roomtone: Command, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """ROOMTONE_URL in place of --url."""
    monkeypatch.setenv("ROOMTONE_URL", url)
    assert roomtone("rooms", "list").code == 0


def test_errors_of_the_server_are_told(roomtone: Command, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there is a failure, what is not allowed a refusal."""
    missing = roomtone("rooms", "delete", "none", "--url", url)
    assert (missing.code, "none" in missing.error) == (1, True)
    assert roomtone("rooms", "create", "a/b", "--url", url).code == 2
    token = roomtone("token", "--dev", "--identity", "x", "--room", "r").out.strip()
    refused = roomtone("rooms", "list", "--url", url, "--token", token)
    assert (refused.code, "room_create" in refused.error) == (3, True)
    monkeypatch.setenv("ROOMTONE_TOKEN", "nonsense")
    assert roomtone("rooms", "list", "--url", url).code == 3
