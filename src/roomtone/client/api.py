"""The server's HTTP API from Python: rooms, participants, streams."""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from roomtone.client.errors import ApiError
from roomtone.client.socket import base_url, reason

TIMEOUT_S: Final = 30.0
Json = dict[str, Any]


class ServerApi:
    """`async with ServerApi(url, token) as api:`. What it returns are the API's JSON objects as dicts; their
    fields are in /v1/openapi.json.

    url: the server's address. token: with the grant that the call needs: room_create, moderate or ingress. All
    methods raise ApiError: the server's problem document (RFC 9457), status 0 where nobody answered.
    tls: for a server whose certificate a private authority signed.
    """

    def __init__(self, url: str, token: str, *, tls: ssl.SSLContext | None = None) -> None:
        self._base = base_url(url) + "/v1"
        self._token = token
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back. May be called again."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- rooms ----------------------------------------------------------------------------------------------

    async def rooms(self) -> list[Json]:
        """The rooms that the token may see."""
        return await self._list("rooms", "rooms")

    async def room(self, name: str) -> Json:
        """One room with its participants and tracks."""
        return await self._call("GET", "rooms", name)

    async def create_room(self, name: str, **options: Any) -> Json:
        """Create a room; one of that name stays as it is. options: capacity, empty_timeout_s, stage, metadata,
        speakers_limit."""
        return await self._call("POST", "rooms", body={"name": name, **options})

    async def delete_room(self, name: str) -> None:
        """Close a room; everybody in it is told and disconnected."""
        await self._call("DELETE", "rooms", name)

    async def send_message(self, room: str, data: Any, *, topic: str = "", to: list[str] | None = None) -> None:
        """A data message from the server, to everyone or to the identities in `to`."""
        body: Json = {"data": data, "topic": topic}
        if to is not None:
            body["to"] = to
        await self._call("POST", "rooms", room, "messages", body=body)

    # --- participants ---------------------------------------------------------------------------------------

    async def participants(self, room: str) -> list[Json]:
        """Who is in a room, hidden ones included."""
        return await self._list("participants", "rooms", room, "participants")

    async def mute(self, room: str, identity: str, muted: bool = True, *, track: int | None = None) -> Json:
        """Mute or unmute a participant, or one of their tracks; the participant as it is then."""
        body: Json = {"muted": muted}
        if track is not None:
            body["track"] = track
        return await self._call("PATCH", "rooms", room, "participants", identity, body=body)

    async def promote(self, room: str, identity: str) -> Json:
        """Let a listener speak."""
        return await self._set_role(room, identity, "speaker")

    async def demote(self, room: str, identity: str) -> Json:
        """Make a speaker a listener."""
        return await self._set_role(room, identity, "listener")

    async def remove(self, room: str, identity: str) -> None:
        """Remove a participant; a valid token lets them come back."""
        await self._call("DELETE", "rooms", room, "participants", identity)

    # --- streams --------------------------------------------------------------------------------------------

    async def start_stream(self, room: str, source: str | list[str], **options: Any) -> Json:
        """Play a URL, a file below the server's media_dir, or a list of these into a room.

        options: name, loop, bitrate_bps, content.
        """
        return await self._call("POST", "rooms", room, "streams", body={"source": source, **options})

    async def streams(self, room: str) -> list[Json]:
        """The room's streams, the newest of those that ended too."""
        return await self._list("streams", "rooms", room, "streams")

    async def stop_stream(self, room: str, stream: str) -> None:
        """Stop a stream. stream: its `id`."""
        await self._call("DELETE", "rooms", room, "streams", stream)

    # --- inside ---------------------------------------------------------------------------------------------

    async def _set_role(self, room: str, identity: str, role: Literal["speaker", "listener"]) -> Json:
        return await self._call("PATCH", "rooms", room, "participants", identity, body={"role": role})

    async def _list(self, key: str, *path: str) -> list[Json]:
        answer = await self._call("GET", *path)
        return list(answer.get(key, []))

    async def _call(self, method: str, *path: str, body: Json | None = None) -> Json:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {self._token}"},
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            )
        # Encoded already, and not to be tidied up: a name may be ".." or hold a slash.
        base = URL(self._base)
        url = base.with_path("/".join((base.raw_path, *(quote(part, safe="") for part in path))), encoded=True)
        headers = {"Content-Type": "application/json"} if body is not None else None
        data = msgspec.json.encode(body) if body is not None else None
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, ssl=self._tls or True
            ) as response:
                content = await response.read()
        except TimeoutError as error:
            raise ApiError(0, {"title": f"no answer within {TIMEOUT_S:g} s from {url}"}) from error
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError(0, {"title": f"cannot reach {url}", "detail": reason(error)}) from error
        document = _object(content)
        if document is None:
            detail = content[:200].decode(errors="replace")
            raise ApiError(response.status, {"title": f"{url} does not answer as a Roomtone server", "detail": detail})
        if response.status >= 400:
            raise ApiError(response.status, document)
        return document


def _object(content: bytes) -> Json | None:
    """None for what is not a JSON object; nothing at all is an empty one."""
    try:
        value = msgspec.json.decode(content) if content else {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return value if isinstance(value, dict) else None
