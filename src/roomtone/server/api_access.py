"""Who may use the HTTP API: the same tokens as for rooms, as bearer tokens (RFC 6750), with grants."""

from __future__ import annotations

from typing import Literal

from aiohttp import web

from roomtone.server.auth import ANY_ROOM, AuthError, Claims, Keyring
from roomtone.server.config import is_loopback
from roomtone.server.problems import Problem

Grant = Literal["room_create", "moderate", "ingress"]

FORWARDING_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")


class Access:
    """Checks a request's bearer token."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def claims(self, request: web.Request) -> Claims:
        """Of the bearer token. Raises Problem 401."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Problem(401, "no_token", "send the header `Authorization: Bearer TOKEN`")
        try:
            return self._keyring.verify(token.strip())
        except AuthError as error:
            raise Problem(401, "bad_token", str(error)) from error

    def with_grant(self, request: web.Request, grant: Grant) -> Claims:
        """Of a token with `grant`, whatever its room. Raises Problem 401, 403."""
        claims = self.claims(request)
        if not getattr(claims.grants, grant):
            raise Problem(403, "grant_missing", f"the token lacks the grant {grant!r}")
        return claims

    def to_manage_rooms(self, request: web.Request, room: str | None = None) -> Claims:
        """room_create, and for a token that is bound to a room that very room (None: all of them)."""
        claims = self.with_grant(request, "room_create")
        if claims.room not in (None, ANY_ROOM, room):
            raise Problem(403, "wrong_room", f"the token is for the room {claims.room!r} only")
        return claims

    def in_room(self, request: web.Request, grant: Grant, room: str) -> Claims:
        """`grant` in `room`: the token names it, or "*"."""
        claims = self.with_grant(request, grant)
        if claims.room not in (ANY_ROOM, room):
            bound = "no room" if claims.room is None else f"the room {claims.room!r} only"
            raise Problem(403, "wrong_room", f"the token is for {bound}")
        return claims

    def to_see_room(self, request: web.Request, room: str) -> Claims:
        """As to_manage_rooms, or a moderator of that room."""
        if self.claims(request).grants.moderate:
            return self.in_room(request, "moderate", room)
        return self.to_manage_rooms(request, room)

    def to_scrape(self, request: web.Request) -> None:
        """A caller on this machine, or any valid token.

        A request that a proxy on this machine passed on is not one of this machine's.
        """
        forwarded = any(name in request.headers for name in FORWARDING_HEADERS)
        if forwarded or not is_loopback(request.remote or ""):
            self.claims(request)
