from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from roomtone.protocol.errors import ProtocolError
from roomtone.protocol.transitions import (
    CLIENT_TRANSITIONS,
    PEER_EVENTS,
    SERVER_TRANSITIONS,
    advance,
    mermaid,
)

TABLES: list[Mapping[Any, Mapping[str, Any]]] = [SERVER_TRANSITIONS, CLIENT_TRANSITIONS]


@pytest.mark.parametrize("table", TABLES)
def test_tables_are_closed_and_connected(table: Mapping[Any, Mapping[str, Any]]) -> None:
    """Every state that an event leads to has a row, every state can be reached, and all can be closed."""
    reached = {next(iter(table))}
    for _ in table:
        reached |= {target for state in reached for target in table[state].values()}
    assert reached == set(table)
    assert all(events["close"] == "closed" for events in table.values())


@pytest.mark.parametrize("table", TABLES)
def test_illegal_events_are_somebodys_fault(table: Mapping[Any, Mapping[str, Any]]) -> None:
    """A pair that is missing is ProtocolError for the peer's events and AssertionError for our own."""
    events = {event for row in table.values() for event in row}
    for state, row in table.items():
        for event in events:
            if event in row:
                assert advance(table, state, event) == row[event]
            else:
                fault = ProtocolError if event in PEER_EVENTS else AssertionError
                with pytest.raises(fault, match=event):
                    advance(table, state, event)


def test_mermaid() -> None:
    """The diagram names every state, and every event once for each state that knows it."""
    text = mermaid(CLIENT_TRANSITIONS)
    assert text.startswith("stateDiagram-v2\n    [*] --> idle\n    idle --> starting: start\n")
    assert "    active --> active: message, audio\n" in text
    assert text.endswith("    closed --> [*]")
    assert "closed --> closed" not in text
