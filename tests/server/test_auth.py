"""Minting and verifying tokens."""

from __future__ import annotations

import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from roomtone.room.grants import Grants
from roomtone.server.auth import DEV_KEY, AuthError, Key, Keyring, mint


def test_what_is_minted_is_read_back() -> None:
    """Identity, room, name, metadata and every grant."""
    grants = Grants(publish=False, moderate=True, hidden=True, ingress=True)
    token = mint(DEV_KEY, "ada", room="lobby", name="Ada", metadata="{}", grants=grants, ttl_s=60)
    claims = Keyring([DEV_KEY]).verify(token)
    assert (claims.identity, claims.room, claims.name, claims.metadata) == ("ada", "lobby", "Ada", "{}")
    assert claims.grants == grants


def test_grants_by_name() -> None:
    """A mapping does too; an unknown grant is a mistake, not a wish."""
    claims = Keyring([DEV_KEY]).verify(mint(DEV_KEY, "ada", grants={"moderate": True}))
    assert claims.grants == Grants(moderate=True)
    assert claims.room is None
    with pytest.raises(ValueError, match="unknown grants"):
        mint(DEV_KEY, "ada", grants={"fly": True})


def test_eddsa_needs_the_public_key_only() -> None:
    """The server can check tokens that it could not have made."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    public = (
        private.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )
    token = mint(Key("ed", "EdDSA", pem), "ada", room="lobby")
    keyring = Keyring([DEV_KEY, Key("ed", "EdDSA", public)])
    assert keyring.verify(token).identity == "ada"
    with pytest.raises(AuthError, match="signature"):
        keyring.verify(token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"))


@pytest.mark.parametrize(("identity", "ttl_s"), [("", 60), ("ada", 0), ("ada", -1)])
def test_wrong_arguments(identity: str, ttl_s: float) -> None:
    """Nobody gets a token for nobody, or one that is over already."""
    with pytest.raises(ValueError):
        mint(DEV_KEY, identity, ttl_s=ttl_s)


def test_keys_are_checked() -> None:
    """Weak secrets, missing ids and two keys of one id are refused."""
    with pytest.raises(ValueError, match="32 bytes"):
        Key("k", "HS256", "short")
    with pytest.raises(ValueError, match="PEM"):
        Key("k", "EdDSA", "not a key")
    with pytest.raises(ValueError, match="two keys"):
        Keyring([DEV_KEY, DEV_KEY])
    assert "devkey" in Keyring([DEV_KEY])
    assert len(Keyring([DEV_KEY])) == 1


@pytest.mark.parametrize("identity", [7, "", "x" * 257])
def test_an_identity_is_a_short_text(identity: object) -> None:
    """Anything else could not be told to others."""
    claims = {"iss": "devkey", "aud": "roomtone", "exp": time.time() + 60, "sub": identity}
    with pytest.raises((AuthError, TypeError)):
        Keyring([DEV_KEY]).verify(jwt.encode(claims, DEV_KEY.material, algorithm="HS256"))


@pytest.mark.parametrize("identity", ["", "a" * 257, "ada\n", "ada\x00", "ada\u202e", "ada\ud800"])
def test_an_identity_is_printable(identity: str) -> None:
    """Neither minted nor taken: it stands in URLs, logs and on other people's screens."""
    with pytest.raises(ValueError, match="identity"):
        mint(DEV_KEY, identity, room="lobby")
    with pytest.raises(AuthError, match="sub"):
        Keyring([DEV_KEY]).verify(_signed(sub=identity))


@pytest.mark.parametrize("claim", ["room", "name", "metadata"])
def test_half_a_surrogate_pair_is_no_text(claim: str) -> None:
    """A script can cut a name in the middle of an emoji; in a room nobody could be told of it any more."""
    with pytest.raises(AuthError, match="surrogate"):
        Keyring([DEV_KEY]).verify(_signed(**{claim: "smile \ud83d"}))
    with pytest.raises(ValueError, match="Unicode"):
        mint(DEV_KEY, "ada", **{claim: "smile \ud83d"})  # type: ignore[arg-type]
    assert Keyring([DEV_KEY]).verify(_signed(**{claim: "smile \U0001f600"}))


@pytest.mark.parametrize("expiry", [10**400, 1e999, "soon", None, [], -1], ids=lambda value: str(value)[:8])
def test_an_expiry_that_is_no_time(expiry: object) -> None:
    """Refused like any other bad token, however big the number."""
    with pytest.raises(AuthError):
        Keyring([DEV_KEY]).verify(_signed(exp=expiry))


def _signed(**changes: object) -> str:
    claims: dict[str, object] = {"iss": DEV_KEY.id, "sub": "ada", "aud": "roomtone", "exp": int(time.time()) + 60}
    return jwt.encode(claims | changes, DEV_KEY.material, algorithm="HS256")
