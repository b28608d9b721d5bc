"""What may happen when, for both sides, as tables: state x event -> state.

A pair that is missing is illegal: the peer's fault (ProtocolError) where the event is the peer's doing, ours
(an assertion) where it is our own. docs/protocol.md carries diagrams that mermaid() made of these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeVar

from roomtone.protocol.errors import ProtocolError

ServerState = Literal["starting", "checking", "active", "suspended", "closed"]
"""starting: connected, no session_start yet. checking: it came; token and room are being looked at.
active: session_started was sent. suspended: the connection dropped, the seat is kept. closed: for good."""

ClientState = Literal["idle", "starting", "active", "suspended", "closed"]
"""idle: never connected. starting: session_start was sent. active: session_started came. suspended: the
connection dropped, a new one will be tried. closed: for good."""

State = TypeVar("State", ServerState, ClientState)

SERVER_TRANSITIONS: Final[dict[ServerState, dict[str, ServerState]]] = {
    "starting": {"session_start": "checking", "close": "closed"},
    "checking": {"started": "active", "close": "closed"},
    "active": {
        "message": "active",
        "audio": "active",
        # The client may notice a dead connection first: it resumes while the server believes in the old one.
        "resume": "active",
        "suspend": "suspended",
        "close": "closed",
    },
    "suspended": {"resume": "active", "close": "closed"},
    "closed": {"close": "closed"},
}

CLIENT_TRANSITIONS: Final[dict[ClientState, dict[str, ClientState]]] = {
    "idle": {"start": "starting", "close": "closed"},
    "starting": {"session_started": "active", "lost": "suspended", "close": "closed"},
    "active": {"message": "active", "audio": "active", "lost": "suspended", "close": "closed"},
    "suspended": {"start": "starting", "lost": "suspended", "close": "closed"},
    "closed": {"close": "closed", "lost": "closed"},
}

PEER_EVENTS: Final = frozenset(("session_start", "session_started", "message", "audio"))
"""What the peer does; all other events are our own doing."""


def advance(table: Mapping[State, Mapping[str, State]], state: State, event: str) -> State:
    """The state after `event`.

    Raises ProtocolError where the peer may not do this now, AssertionError where our own code may not.
    """
    events = table[state]
    if event in events:
        return events[event]
    if event in PEER_EVENTS:
        raise ProtocolError(f"{event} is not allowed while the session is {state}")
    raise AssertionError(f"{event} in state {state}")


def mermaid(table: Mapping[State, Mapping[str, State]]) -> str:
    """The table as a mermaid state diagram; events that lead to the same state share an arrow."""
    lines = ["stateDiagram-v2", f"    [*] --> {next(iter(table))}"]
    for state, events in table.items():
        arrows: dict[str, list[str]] = {}
        for event, following in events.items():
            arrows.setdefault(following, []).append(event)
        for target, names in arrows.items():
            if target != state or state != "closed":
                lines.append(f"    {state} --> {target}: {', '.join(names)}")
    lines.append("    closed --> [*]")
    return "\n".join(lines)
