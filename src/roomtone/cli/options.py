"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

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
