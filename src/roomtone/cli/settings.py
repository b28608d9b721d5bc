"""The server's settings as flags: one schema, server/config.py, for flags, environment and file."""

from __future__ import annotations

import inspect
import tomllib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Union, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from roomtone.cli.exits import CliError, ExitCode
from roomtone.server.config import Config, load_config

NOT_FLAGS: Final = ("api_secret", "keys")
"""Secrets stand in a file or the environment: everybody on a machine can read its processes' arguments."""


def config_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command` with a flag for every setting in place of its `**settings`. None: not given."""
    own = [
        one
        for one in inspect.signature(command, eval_str=True).parameters.values()
        if one.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    parameters = own + [_parameter(name) for name in Config.model_fields if name not in NOT_FLAGS]
    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in parameters]

    def with_flags(**values: Any) -> Any:
        return command(**{name: value for name, value in values.items() if value not in (None, [])})

    with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {one.name: one.annotation for one in parameters}
    with_flags.__doc__ = command.__doc__
    return with_flags


def _parameter(name: str) -> inspect.Parameter:
    field = Config.model_fields[name]
    kind = _plain(field.annotation)
    flag = "--" + name.replace("_", "-")
    declaration = f"{flag}/--no-{flag[2:]}" if kind is bool else flag
    default = field.get_default(call_default_factory=True)
    text = field.description or ""
    if default not in (None, [], ""):
        text = f"{text} [default: {_shown(default)}]".strip()
    option = typer.Option(declaration, help=text, show_default=False)
    if kind == list[str]:
        annotation: Any = Annotated[list[str] | None, option]
    else:
        annotation = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _plain(annotation: Any) -> Any:
    """X of `X | None`, and what is inside Annotated."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _plain(next(one for one in get_args(annotation) if one is not type(None)))
    return annotation


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def checked_config(file: Path | None, **settings: Any) -> Config:
    """load_config, its errors in one line each. Raises CliError."""
    try:
        return load_config(file, **settings)
    except ValidationError as error:
        raise CliError(explained(error), ExitCode.USAGE) from error
    except FileNotFoundError as error:
        raise CliError(str(error), ExitCode.USAGE) from error
    except tomllib.TOMLDecodeError as error:
        raise CliError(f"{file or 'roomtone.toml'} is not valid TOML: {error}", ExitCode.USAGE) from error
    except (OSError, ValueError) as error:  # an unreadable file, a broken value in the environment
        raise CliError(f"the configuration cannot be read: {error}", ExitCode.USAGE) from error


class _Isolated(Config):
    """Settings from nowhere but the call."""

    model_config = SettingsConfigDict(toml_file=None)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def own_config(**settings: Any) -> Config:
    """For a command's own server: neither the environment nor a roomtone.toml that lies around has a say."""
    return _Isolated(**settings)


def explained(error: ValidationError) -> str:
    """Every wrong setting, by name."""
    parts = []
    for one in error.errors():
        where = ".".join(str(part) for part in one["loc"])
        what = one["msg"].removeprefix("Value error, ")
        if one["type"] == "extra_forbidden":
            what = "is not a setting; `roomtone config show` lists them all"
        elif where:
            what = f"{what[:1].lower()}{what[1:]}, not {one['input']!r}"
        parts.append(f"{where}: {what}" if where else what)
    return "; ".join(parts)
