"""A library's logs belong to the program that uses it."""

from __future__ import annotations

import logging

import pytest

from roomtone.logs import get_logger
from tests.wire import serving


async def test_a_server_inside_a_program_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither to standard output nor to standard error."""
    async with serving() as network:
        await network.join("ada")
    assert capfd.readouterr() == ("", "")


def test_events_reach_the_programs_own_logging(caplog: pytest.LogCaptureFixture) -> None:
    """Under the module's name, the values as attributes of the record."""
    with caplog.at_level(logging.INFO):
        get_logger("roomtone.example").info("joined", room="lobby")
    (record,) = caplog.records
    assert (record.name, record.getMessage(), record.room) == ("roomtone.example", "joined", "lobby")  # type: ignore[attr-defined]
