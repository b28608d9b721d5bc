"""`roomtone config`: the effective settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from roomtone.cli.options import Json
from roomtone.cli.output import Output
from roomtone.cli.settings import checked_config, config_flags
from roomtone.server.config import Config

app = typer.Typer(help="The server's settings.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _root() -> None:
    """The server's settings."""


@app.command("show", help="Print the effective settings as TOML: flags over environment over file over defaults.")
@config_flags
def show(
    config_file: Annotated[
        Path | None, typer.Option("--config", help="Settings file. [default: ./roomtone.toml where it exists]")
    ] = None,
    json: Json = False,
    **settings: Any,
) -> None:
    values = effective(checked_config(config_file, **settings))
    if json:
        Output(json=True).write_json(values)
    else:
        typer.echo(as_toml(values), nl=False)


def effective(config: Config) -> dict[str, Any]:
    """Every setting that has a value; secrets are starred out."""
    values = config.model_dump(mode="json")
    return {name: value for name, value in values.items() if value is not None}


def as_toml(values: dict[str, Any]) -> str:
    """A roomtone.toml with the same settings, those of the schema's order, tables last."""
    lines = []
    tables = []
    for name, value in values.items():
        if name == "keys":
            for entry in value:
                inside = [f"{key} = {_toml(one)}" for key, one in entry.items() if one is not None]
                tables.append("\n".join(["", "[[keys]]", *inside]))
        else:
            lines.append(f"{name} = {_toml(value)}")
    return "\n".join(lines + tables) + "\n"


def _toml(value: Any) -> str:
    # TOML's basic strings, numbers, booleans and arrays of them are written as JSON's.
    return msgspec.json.encode(value).decode()
