"""Tokens: who may do what in which room, as JWTs (RFC 7519).

`iss` names the key, and the key's entry, never the token's own header, fixes the algorithm: `alg: none` and
an HS256 token signed with a public key have no way in. Pure but for the wall clock inside PyJWT's `exp` check.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import jwt
import msgspec

from roomtone.room.grants import Grants

AUDIENCE: Final = "roomtone"
LEEWAY_S: Final = 30
"""Clocks of token makers and servers differ a little; half a minute is what JWT libraries commonly allow."""
MIN_SECRET_BYTES: Final = 32
"""RFC 7518, 3.2: an HS256 key has at least as many bits as the hash."""
DEV_KEY_ID: Final = "devkey"
DEV_SECRET: Final = "roomtone development secret: never use it in production"
ANY_ROOM: Final = "*"

Algorithm = Literal["HS256", "EdDSA"]


class AuthError(Exception):
    """The token does not open the door. str() says why, without the token."""


@dataclass(frozen=True, slots=True)
class Key:
    """One way to sign tokens. `material`: the shared secret (HS256) or a PEM key (EdDSA; public to verify)."""

    id: str
    algorithm: Algorithm
    material: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.id:
            raise ValueError("a key needs an id")
        if self.algorithm == "HS256" and len(self.material.encode()) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret of key {self.id!r} has under {MIN_SECRET_BYTES} bytes")
        if self.algorithm == "EdDSA" and "-----BEGIN" not in self.material:
            raise ValueError(f"key {self.id!r} wants a PEM key for EdDSA")


DEV_KEY: Final = Key(DEV_KEY_ID, "HS256", DEV_SECRET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a valid token says. room: a name, "*" for any room, None for none (an HTTP API token)."""

    identity: str
    room: str | None
    name: str = ""
    metadata: str = ""
    grants: Grants
    expires_at_s: float = 0


def mint(
    key: Key,
    identity: str,
    *,
    room: str | None = None,
    name: str = "",
    metadata: str = "",
    grants: Grants | Mapping[str, bool] | None = None,
    ttl_s: float = 3600,
) -> str:
    """A signed token for `identity`, valid from now for `ttl_s` seconds.

    room: the only room it opens, "*" for any, None for none. grants: see Grants for the names and defaults.
    Raises ValueError for an identity that is none, an unknown grant or a ttl that is not positive.
    """
    if not is_identity(identity):
        raise ValueError("a token needs an identity of 1 to 256 printable characters")
    if not all(map(_is_unicode, (room or "", name, metadata))):
        raise ValueError("room, name and metadata have to be whole Unicode characters")
    if ttl_s <= 0:
        raise ValueError(f"ttl_s is {ttl_s}; it has to be over 0")
    if isinstance(grants, Mapping):
        unknown = set(grants) - set(Grants.__dataclass_fields__)
        if unknown:
            raise ValueError(f"unknown grants {sorted(unknown)}; known: {sorted(Grants.__dataclass_fields__)}")
        grants = Grants(**grants)
    now = time.time()
    payload: dict[str, Any] = {
        "iss": key.id,
        "sub": identity,
        "aud": AUDIENCE,
        "iat": int(now),
        "exp": int(now + ttl_s),
        "grants": msgspec.to_builtins(grants or Grants()),
    }
    if room is not None:
        payload["room"] = room
    if name:
        payload["name"] = name
    if metadata:
        payload["metadata"] = metadata
    return jwt.encode(payload, key.material, algorithm=key.algorithm)


class Keyring:
    """The keys that a server trusts."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys: dict[str, Key] = {}
        for key in keys:
            if key.id in self._keys:
                raise ValueError(f"two keys have the id {key.id!r}")
            self._keys[key.id] = key

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._keys

    def __len__(self) -> int:
        return len(self._keys)

    def verify(self, token: str) -> Claims:
        """What the token says, once its signature, issuer, audience and expiry hold. Raises AuthError."""
        if not token:
            raise AuthError("no token was given")
        try:
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except jwt.InvalidTokenError as error:
            raise AuthError("the token is not a JWT") from error
        key = self._keys.get(issuer) if isinstance(issuer, str) else None
        if key is None:
            raise AuthError("the token's issuer is not a key of this server")
        try:
            payload = jwt.decode(
                token,
                key.material,
                algorithms=[key.algorithm],
                audience=AUDIENCE,
                issuer=key.id,
                leeway=LEEWAY_S,
                options={"require": ["exp", "iss", "sub", "aud"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise AuthError("the token has expired") from error
        except jwt.MissingRequiredClaimError as error:
            raise AuthError(f"the token lacks the claim {error.claim!r}") from error
        except jwt.InvalidAudienceError as error:
            raise AuthError(f"the token's audience is not {AUDIENCE!r}") from error
        except (jwt.InvalidTokenError, jwt.InvalidKeyError, ValueError, TypeError, OverflowError) as error:
            raise AuthError("the token's signature does not hold") from error
        return _claims(payload)


def is_identity(value: object) -> bool:
    """Text of 1 to 256 printable characters: it stands in URLs, logs and on other people's screens."""
    return isinstance(value, str) and 0 < len(value) <= 256 and value.isprintable()


def _is_unicode(text: str) -> bool:
    """JSON can hold half a surrogate pair, UTF-8 cannot: a name with one could be told to nobody."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _claims(payload: dict[str, Any]) -> Claims:
    identity = payload["sub"]
    if not is_identity(identity):
        raise AuthError("the token's sub is not an identity of 1 to 256 printable characters")
    try:
        grants = msgspec.convert(payload.get("grants", {}), Grants)
        room = msgspec.convert(payload.get("room"), str | None)
        name = msgspec.convert(payload.get("name", ""), str)
        metadata = msgspec.convert(payload.get("metadata", ""), str)
        expires_at_s = float(payload["exp"])
    except (msgspec.ValidationError, OverflowError) as error:
        raise AuthError(f"the token's claims are malformed: {error}") from error
    if len(name) > 256 or len(metadata) > 4096:
        raise AuthError("the token's name is over 256 or its metadata over 4,096 characters")
    if not all(map(_is_unicode, (room or "", name, metadata))):
        raise AuthError("the token's room, name or metadata holds half a surrogate pair")
    return Claims(
        identity=identity,
        room=room,
        name=name,
        metadata=metadata,
        grants=grants,
        expires_at_s=expires_at_s,
    )
