"""`roomtone rooms`: rooms through the HTTP API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from roomtone.cli.options import DEFAULT_URL, Json, Quiet, RoomName, Token, Url
from roomtone.cli.output import Output

if TYPE_CHECKING:
    from roomtone.client.api import ServerApi

app = typer.Typer(help="List, look at, create and delete rooms.", no_args_is_help=True, rich_markup_mode=None)
Result = TypeVar("Result")

COLUMNS = {
    "name": "room",
    "participant_count": "participants",
    "track_count": "tracks",
    "capacity": "capacity",
    "stage": "stage",
    "age_s": "age s",
}
PARTICIPANT_COLUMNS = {
    "identity": "identity",
    "name": "name",
    "kind": "kind",
    "role": "role",
    "presence": "presence",
    "muted": "muted",
}
TRACK_COLUMNS = {
    "track": "track",
    "identity": "identity",
    "codec": "codec",
    "channels": "channels",
    "content": "content",
    "listeners": "listeners",
    "packets_in": "packets",
}


@app.command("list")
def list_rooms(url: Url = DEFAULT_URL, token: Token = None, json: Json = False, quiet: Quiet = False) -> int:
    """List the rooms."""
    rooms = _call(url, token, lambda api: api.rooms())
    output = Output(json=json, quiet=quiet)
    if rooms or json:
        output.table("", rooms, COLUMNS)
    else:
        output.note("there is no room")
    return 0


@app.command("show")
def show_room(room: RoomName, url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> int:
    """Show a room's participants and tracks."""
    found = _call(url, token, lambda api: api.room(room))
    output = Output(json=json)
    if json:
        output.write_json(found)
        return 0
    output.table("participants", found["participants"], PARTICIPANT_COLUMNS)
    output.table("tracks", found["tracks"], TRACK_COLUMNS)
    return 0


@app.command("create")
def create_room(
    room: RoomName,
    capacity: Annotated[int | None, typer.Option("--capacity", min=1, help="Participants at most.")] = None,
    stage: Annotated[bool, typer.Option("--stage", help="Who joins listens, until promoted.")] = False,
    empty_timeout: Annotated[
        float | None, typer.Option("--empty-timeout", min=0, help="Seconds until it goes when nobody is in it.")
    ] = None,
    speakers_limit: Annotated[
        int | None, typer.Option("--speakers-limit", min=1, max=64, help="Only the N most active are heard.")
    ] = None,
    metadata: Annotated[str, typer.Option("--metadata", help="Any text for the application.")] = "",
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
) -> int:
    """Create a room; one of that name stays as it is."""
    options = {
        "capacity": capacity,
        "empty_timeout_s": empty_timeout,
        "speakers_limit": speakers_limit,
        "metadata": metadata,
        "stage": stage,
    }
    given = {name: value for name, value in options.items() if value not in (None, "", False)}
    created = _call(url, token, lambda api: api.create_room(room, **given))
    Output(json=json).line(created["name"], **created)
    return 0


@app.command("delete")
def delete_room(room: RoomName, url: Url = DEFAULT_URL, token: Token = None, json: Json = False) -> int:
    """Close a room; everybody in it is disconnected."""
    _call(url, token, lambda api: api.delete_room(room))
    output = Output(json=json)
    output.event("deleted", name=room)
    output.note(f"deleted {room}")
    return 0


def _call(url: str, token: str | None, ask: Callable[[ServerApi], Awaitable[Result]]) -> Result:
    from roomtone.cli.access import token_for
    from roomtone.cli.running import run_command
    from roomtone.client.api import ServerApi

    grants = {"room_create": True, "moderate": True}
    bearer = token_for(url, token, identity="cli", room="*", grants=grants)
    results: list[Result] = []

    async def main() -> int:
        async with ServerApi(url, bearer) as api:
            results.append(await ask(api))
        return 0

    run_command(main())
    return results[0]
