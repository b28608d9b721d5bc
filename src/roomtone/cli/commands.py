"""All commands, on one app."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from roomtone.cli import bench, config, demo, listen, rooms, serve, stream, token

app = typer.Typer(
    name="roomtone",
    help="Real-time voice: rooms, live streams and agents over one plain WebSocket.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"roomtone {version('roomtone')}")
        raise typer.Exit


@app.callback()
def _root(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Real-time voice: rooms, live streams and agents over one plain WebSocket."""


app.command("serve", help=serve.HELP)(serve.command)
app.command("demo")(demo.command)
app.command("token")(token.command)
app.command("stream")(stream.command)
app.command("listen")(listen.command)
app.add_typer(rooms.app, name="rooms")
app.add_typer(bench.app, name="bench")
app.add_typer(config.app, name="config")
