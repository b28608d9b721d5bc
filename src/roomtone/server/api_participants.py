"""/v1/rooms/{room}/participants and .../messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from roomtone.protocol.messages import MAX_DATA_BYTES, MAX_DATA_DEPTH
from roomtone.room.errors import RoomError
from roomtone.server.api_access import Access
from roomtone.server.api_rooms import find_room
from roomtone.server.api_route import Route, answer, no_content, now, problem_of, read_body
from roomtone.server.api_types import (
    ParticipantDetail,
    ParticipantList,
    PostMessage,
    UpdateParticipant,
    participant_detail,
)
from roomtone.server.problems import Problem

if TYPE_CHECKING:
    from roomtone.server.app import Server

_ONE = "/v1/rooms/{room}/participants/{identity}"


class ParticipantRoutes:
    """Look at and moderate who is in a room; send data messages to it."""

    def __init__(self, server: Server, access: Access) -> None:
        self._server = server
        self._access = access

    def routes(self) -> list[Route]:
        """All of them."""
        grant = "moderate"
        return [
            Route(
                method="GET",
                path="/v1/rooms/{room}/participants",
                name="listParticipants",
                summary="Who is in the room, hidden and reconnecting participants included.",
                handler=self.list,
                grant=grant,
                answer=ParticipantList,
                errors=(404,),
            ),
            Route(
                method="GET",
                path=_ONE,
                name="getParticipant",
                summary="One participant.",
                handler=self.get,
                grant=grant,
                answer=ParticipantDetail,
                errors=(404,),
            ),
            Route(
                method="PATCH",
                path=_ONE,
                name="updateParticipant",
                summary="Mute or unmute, promote or demote. What was decided outlives a reconnect.",
                handler=self.update,
                grant=grant,
                body=UpdateParticipant,
                answer=ParticipantDetail,
                errors=(400, 404, 409, 422),
            ),
            Route(
                method="DELETE",
                path=_ONE,
                name="removeParticipant",
                summary="Remove a participant from the room. A valid token lets them come back.",
                handler=self.remove,
                grant=grant,
                status=204,
                errors=(404,),
            ),
            Route(
                method="POST",
                path="/v1/rooms/{room}/messages",
                name="sendMessage",
                summary="Send a data message from the server; its sender is empty.",
                handler=self.message,
                grant=grant,
                body=PostMessage,
                status=204,
                errors=(400, 404, 422),
            ),
        ]

    async def list(self, request: web.Request) -> web.Response:
        """GET /v1/rooms/{room}/participants"""
        self._check(request)
        room = find_room(self._server, request)
        return answer(ParticipantList(participants=[participant_detail(seat) for seat in room.seats()]))

    async def get(self, request: web.Request) -> web.Response:
        """GET /v1/rooms/{room}/participants/{identity}"""
        self._check(request)
        room = find_room(self._server, request)
        try:
            return answer(participant_detail(room.find(request.match_info["identity"])))
        except RoomError as error:
            raise problem_of(error) from error

    async def update(self, request: web.Request) -> web.Response:
        """PATCH /v1/rooms/{room}/participants/{identity}"""
        self._check(request)
        wanted = await read_body(request, UpdateParticipant)
        if wanted.track is not None and wanted.muted is None:
            raise Problem(422, "invalid", "`track` says what `muted` is about: send both")
        room = find_room(self._server, request)
        identity, at = request.match_info["identity"], now()
        try:
            # All or nothing: what could be refused is looked at before anything is changed.
            if wanted.track is not None and wanted.track not in room.find(identity).tracks:
                raise RoomError("unknown_track", f"track {wanted.track} is not of {identity!r}")
            if wanted.role == "speaker":
                room.promote(identity, at)
            elif wanted.role == "listener":
                room.demote(identity, at)
            if wanted.muted is not None:
                room.mute(identity, wanted.muted, at, wanted.track)
            return answer(participant_detail(room.find(identity)))
        except RoomError as error:
            raise problem_of(error) from error

    async def remove(self, request: web.Request) -> web.Response:
        """DELETE /v1/rooms/{room}/participants/{identity}"""
        self._check(request)
        room = find_room(self._server, request)
        try:
            room.remove(request.match_info["identity"], now())
        except RoomError as error:
            raise problem_of(error) from error
        return no_content()

    async def message(self, request: web.Request) -> web.Response:
        """POST /v1/rooms/{room}/messages"""
        self._check(request)
        wanted = await read_body(request, PostMessage)
        room = find_room(self._server, request)
        if _depth(wanted.data) > MAX_DATA_DEPTH:
            raise Problem(422, "invalid", f"data is over {MAX_DATA_DEPTH} deep")
        if len(msgspec.json.encode(wanted.data)) > MAX_DATA_BYTES:
            raise Problem(413, "body_too_big", f"data is at most {MAX_DATA_BYTES} bytes of JSON")
        try:
            room.send(wanted.topic, wanted.data, now(), wanted.to)
        except RoomError as error:
            raise problem_of(error) from error
        return no_content()

    def _check(self, request: web.Request) -> None:
        self._access.in_room(request, "moderate", request.match_info["room"])


def _depth(value: Any) -> int:
    """Arrays and objects inside one another, counted no further than is allowed."""
    level, depth = [value], 0
    while level and depth <= MAX_DATA_DEPTH:
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        if not any(isinstance(one, dict | list) for one in level):
            break
        level, depth = inner, depth + 1
    return depth
