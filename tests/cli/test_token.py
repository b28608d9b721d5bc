"""`roomtone token`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from roomtone.room.grants import Grants
from roomtone.server.auth import DEV_KEY, Key, Keyring
from tests.cli.conftest import Ran

Command = Callable[..., Ran]
SECRET = "0123456789abcdef0123456789abcdef"


def test_a_token_says_what_was_asked_for(roomtone: Command) -> None:
    """Identity, room, name, metadata, grants given and taken, and its end."""
    flags = ["--identity", "ada", "--room", "lobby", "--name", "Ada", "--metadata", "m", "--ttl", "2h"]
    made = roomtone("token", "--dev", *flags, "--grant", "moderate", "--grant", "no-publish")
    assert (made.code, made.err) == (0, "")
    claims = Keyring([DEV_KEY]).verify(made.out.strip())
    assert (claims.identity, claims.room, claims.name, claims.metadata) == ("ada", "lobby", "Ada", "m")
    assert claims.grants == Grants(moderate=True, publish=False)
    assert claims.expires_at_s - time.time() == pytest.approx(7_200, abs=60)


def test_json_tells_more(roomtone: Command) -> None:
    """One object."""
    made = json.loads(roomtone("token", "--dev", "--identity", "ada", "--json", "--ttl", "90").out)
    assert made["expires_in_s"] == 90
    assert Keyring([DEV_KEY]).verify(made["token"]).room is None


def test_keys_come_from_many_places(roomtone: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags, the environment, a settings file."""
    keyring = Keyring([Key("mine", "HS256", SECRET)])
    flags = roomtone("token", "--identity", "a", "--key-id", "mine", "--secret", SECRET)
    assert keyring.verify(flags.out.strip()).identity == "a"
    settings = tmp_path / "my.toml"
    settings.write_text(f'[[keys]]\nid = "mine"\nsecret = "{SECRET}"\n')
    from_file = roomtone("token", "--identity", "b", "--config", str(settings))
    assert keyring.verify(from_file.out.strip()).identity == "b"
    monkeypatch.setenv("ROOMTONE_API_KEY", "mine")
    monkeypatch.setenv("ROOMTONE_API_SECRET", SECRET)
    assert keyring.verify(roomtone("token", "--identity", "c").out.strip()).identity == "c"


def test_an_ed25519_key_signs(roomtone: Command, tmp_path: Path) -> None:
    """The private key stays here; the server has the public one."""
    private = Ed25519PrivateKey.generate()
    path = tmp_path / "private.pem"
    path.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    made = roomtone("token", "--identity", "a", "--key-id", "mine", "--private-key", str(path))
    assert Keyring([Key("mine", "EdDSA", public.decode())]).verify(made.out.strip()).identity == "a"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ([], "--dev"),
        (["--dev", "--grant", "fly"], "fly"),
        (["--dev", "--ttl", "soon"], "--ttl"),
        (["--dev", "--ttl", "0s"], "--ttl"),
        (["--key-id", "mine"], "--secret"),
        (["--secret", SECRET], "--key-id"),
        (["--key-id", "mine", "--secret", "short"], "32 bytes"),
        (["--key-id", "mine", "--private-key", "/none.pem"], "/none.pem"),
        (["--config", "/none.toml"], "/none.toml"),
    ],
)
def test_what_cannot_be_signed_is_told(roomtone: Command, flags: list[str], says: str) -> None:
    """Exit code 2, one line."""
    result = roomtone("token", "--identity", "a", *flags)
    assert (result.code, result.out) == (2, "")
    assert says in result.error


def test_a_nameless_token_is_refused(roomtone: Command) -> None:
    """An identity has at least one character."""
    assert "identity" in roomtone("token", "--dev", "--identity", "").error
