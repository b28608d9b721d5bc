"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from roomtone.cli.exits import CliError, ExitCode

MAX_ROOM_NAME_CHARACTERS = 128


def checked_room(name: str) -> str:
    """A room's name as the server takes it; for a parameter's callback. Raises CliError."""
    if not 0 < len(name) <= MAX_ROOM_NAME_CHARACTERS or not name.isprintable() or "/" in name or name != name.strip():
        raise CliError(
            f"{name!r} is no room: a name is 1 to {MAX_ROOM_NAME_CHARACTERS} printable characters without a slash "
            "or outer spaces",
            ExitCode.USAGE,
        )
    return name


RoomName = Annotated[str, typer.Argument(help="The room's name.", callback=checked_room)]
Url = Annotated[
    str,
    typer.Option("--url", envvar="ROOMTONE_URL", help="The server's address.", show_default=True),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="ROOMTONE_TOKEN",
        help="A token; without one it is minted from ROOMTONE_API_KEY and ROOMTONE_API_SECRET, or with the "
        "development key where the server is on loopback.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results only.")]

DEFAULT_URL = "http://127.0.0.1:7800"
