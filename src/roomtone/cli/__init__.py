"""The command line: `roomtone`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from roomtone.cli import bench, config, demo, listen, rooms, serve, stream, token
from roomtone.cli.exits import CliError, ExitCode

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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Errors come out as one line on standard error."""
    command = typer.main.get_command(app)
    try:
        result = command.main(
            args=None if arguments is None else list(arguments), prog_name="roomtone", standalone_mode=False
        )
    except CliError as error:
        return _fail(str(error), error.code)
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone: nothing more can be said to it, nor at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except Exception as error:
        # The root of the process: typer's own errors are usage, everything else is a fault of ours.
        text = _usage_error(error)
        if text is None:
            raise
        return _fail(text, ExitCode.USAGE)
    return int(result) if isinstance(result, int) else ExitCode.OK


def _usage_error(error: Exception) -> str | None:
    message = getattr(error, "format_message", None)
    if message is None:
        return None
    context = getattr(error, "ctx", None)
    mend = f" (see {context.command_path} --help)" if context is not None else ""
    text = " ".join(str(message()).split())
    if not text and context is not None:  # a group without a command: its help is the answer
        return str(context.get_help())
    return f"{text}{mend}"


def _fail(text: str, code: ExitCode) -> int:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text("error: ", style="bold red") + Text(text))
    return code
