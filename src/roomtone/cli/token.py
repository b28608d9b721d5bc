"""`roomtone token`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from roomtone.cli.access import environment_key
from roomtone.cli.exits import CliError, ExitCode
from roomtone.cli.options import Json
from roomtone.cli.output import Output
from roomtone.cli.settings import checked_config
from roomtone.room.grants import Grants
from roomtone.server.auth import DEV_KEY, Key, mint

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}
MAX_TTL_S = 36_500 * 86_400
_TTL = re.compile(r"(\d+)([smhd]?)")


def command(
    identity: Annotated[str, typer.Option("--identity", help="Who it is for; unique in a room.")],
    room: Annotated[
        str | None, typer.Option("--room", help='The room it opens; "*" for any; none for the HTTP API alone.')
    ] = None,
    name: Annotated[str, typer.Option("--name", help="How others see them.")] = "",
    metadata: Annotated[str, typer.Option("--metadata", help="Any text for the application.")] = "",
    grant: Annotated[
        list[str] | None,
        typer.Option(
            "--grant",
            help=f"Allow one of {', '.join(Grants.__dataclass_fields__)}; no-NAME forbids. May be repeated.",
        ),
    ] = None,
    ttl: Annotated[str, typer.Option("--ttl", help="How long it is valid: 90s, 15m, 6h, 30d.")] = "1h",
    key_id: Annotated[str | None, typer.Option("--key-id", help="The key to sign with.")] = None,
    secret: Annotated[str | None, typer.Option("--secret", help="The secret of --key-id.")] = None,
    private_key: Annotated[
        Path | None, typer.Option("--private-key", help="The PEM private key of --key-id, for EdDSA.")
    ] = None,
    dev: Annotated[bool, typer.Option("--dev", help="Sign with the well-known development key.")] = False,
    config_file: Annotated[Path | None, typer.Option("--config", help="Take the key from this settings file.")] = None,
    json: Json = False,
) -> None:
    """Mint a token: a signed JWT that lets its bearer in.

    The key comes from --key-id with --secret or --private-key, from --dev, or as the server's does: from
    ROOMTONE_API_KEY and ROOMTONE_API_SECRET, or from the settings file.
    """
    key = _key(key_id, secret, private_key, dev=dev, config_file=config_file)
    ttl_s = seconds(ttl)
    try:
        token = mint(
            key, identity, room=room, name=name, metadata=metadata, grants=parse_grants(grant or []), ttl_s=ttl_s
        )
    except ValueError as error:
        raise CliError(str(error), ExitCode.USAGE) from error
    Output(json=json).line(token, token=token, identity=identity, room=room, expires_in_s=ttl_s)


def _key(
    key_id: str | None, secret: str | None, private_key: Path | None, *, dev: bool, config_file: Path | None
) -> Key:
    try:
        if dev:
            return DEV_KEY
        if key_id is not None and private_key is not None:
            return Key(key_id, "EdDSA", private_key.read_text(encoding="ascii"))
        if key_id is not None and secret is not None:
            return Key(key_id, "HS256", secret)
        if key_id is None and secret is None and private_key is None:
            key = environment_key() if config_file is None else None
            return key or _configured_key(config_file)
    except OSError as error:
        raise CliError(
            f"--private-key {private_key} cannot be read ({error.strerror}): correct the path", ExitCode.USAGE
        ) from error
    except ValueError as error:
        raise CliError(str(error), ExitCode.USAGE) from error
    raise CliError("--key-id goes with --secret or --private-key: give both", ExitCode.USAGE)


def _configured_key(config_file: Path | None) -> Key:
    config = checked_config(config_file)
    try:
        keys = config.trusted_keys()
    except ValueError:
        keys = []
    for key in keys:
        if key.algorithm == "HS256":
            return key
    raise CliError(
        "no key to sign with: set ROOMTONE_API_KEY and ROOMTONE_API_SECRET, give --key-id and --secret, "
        "or use --dev for a development server",
        ExitCode.USAGE,
    )


def parse_grants(names: list[str]) -> dict[str, bool]:
    """["moderate", "no-publish"] to {"moderate": True, "publish": False}."""
    grants = {}
    for name in names:
        allowed = not name.startswith("no-")
        grants[name.removeprefix("no-").replace("-", "_")] = allowed
    return grants


def seconds(text: str) -> int:
    """90, 90s, 15m, 6h, 30d. Raises CliError."""
    match = _TTL.fullmatch(text.strip().lower())
    if match is None:
        raise CliError(f"--ttl {text!r}: write a number with s, m, h or d, such as 15m", ExitCode.USAGE)
    ttl_s = int(match.group(1)) * _UNITS_S[match.group(2)]
    if not 0 < ttl_s <= MAX_TTL_S:
        raise CliError(f"--ttl {text!r}: write a time over 0, at most 36500d", ExitCode.USAGE)
    return ttl_s
