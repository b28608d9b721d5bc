"""`roomtone serve`."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from roomtone.cli.exits import CliError, ExitCode
from roomtone.cli.settings import checked_config, config_flags
from roomtone.server.auth import DEV_KEY_ID
from roomtone.server.config import Config, is_loopback

HELP = """Run the server until SIGTERM or Ctrl-C, which lets running sessions finish first.

Flags go over the environment (ROOMTONE_HOST and so on), which goes over roomtone.toml."""


@config_flags
def command(
    config_file: Annotated[
        Path | None, typer.Option("--config", help="Settings file. [default: ./roomtone.toml where it exists]")
    ] = None,
    **settings: Any,
) -> int:
    from roomtone.server.logging import setup_logging
    from roomtone.server.run import serve

    config = checked_config(config_file, **settings)
    setup_logging(config.log_format, config.log_level)
    if config.dev:
        warn_of_dev(config)
    try:
        return serve(config)
    except OSError as error:
        raise CliError(listen_error(error, config), ExitCode.USAGE) from error
    except ValueError as error:  # keys
        raise CliError(str(error), ExitCode.USAGE) from error


def warn_of_dev(config: Config) -> None:
    """Loud, for the development key opens every door."""
    reach = "only this machine can reach it" if is_loopback(config.host) else "OTHERS CAN REACH IT"
    text = Text.assemble(
        ("Development mode: ", "bold"),
        f"the key {DEV_KEY_ID!r} and its secret are public, so anybody who reaches {config.host}:{config.port} "
        f"may do everything ({reach}). Set ROOMTONE_API_KEY and ROOMTONE_API_SECRET for anything else.",
    )
    Console(stderr=True, highlight=False).print(Panel(text, border_style="bold yellow"))


def listen_error(error: OSError, config: Config) -> str:
    """Why the server does not listen, and what to do."""
    where = f"{config.host}:{config.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is taken by another program: stop it, or choose another port with --port (0 picks a free one)"
    if error.errno == errno.EACCES:
        return f"this user may not listen on {where}: choose a port from 1024 up with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{config.host} is not an address of this machine: correct --host"
    if isinstance(error, FileNotFoundError | PermissionError):
        return f"{error.filename}: {error.strerror}: correct the path or its permissions"
    reason = error.strerror or str(error)
    if config.tls_cert is not None and "ssl" in type(error).__name__.lower():
        return f"the TLS certificate and key do not work ({reason}): check --tls-cert and --tls-key"
    return f"cannot listen on {where}: {reason}"
