"""/v1/rooms."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import web

from roomtone.room.errors import RoomError
from roomtone.room.room import Room
from roomtone.server.api_access import Access
from roomtone.server.api_route import Route, answer, no_content, now, path_to, problem_of, read_body
from roomtone.server.api_types import CreateRoom, RoomDetail, RoomList, RoomSummary, room_detail, room_summary
from roomtone.server.auth import ANY_ROOM
from roomtone.server.door import check_room_name
from roomtone.server.problems import Problem

if TYPE_CHECKING:
    from roomtone.server.app import Server


def find_room(server: Server, request: web.Request) -> Room:
    """The room of the request's path. Raises Problem 404."""
    name = request.match_info["room"]
    room = server.rooms.get(name)
    if room is None:
        raise Problem(404, "unknown_room", f"there is no room {name!r}")
    return room


class RoomRoutes:
    """Create, list, look at and delete rooms."""

    def __init__(self, server: Server, access: Access) -> None:
        self._server = server
        self._access = access

    def routes(self) -> list[Route]:
        """All of them."""
        grant = "room_create"
        return [
            Route(
                method="POST",
                path="/v1/rooms",
                name="createRoom",
                summary="Create a room. One of that name stays as it is and is answered with 200.",
                handler=self.create,
                grant=grant,
                body=CreateRoom,
                answer=RoomSummary,
                status=201,
                errors=(400, 422, 503),
            ),
            Route(
                method="GET",
                path="/v1/rooms",
                name="listRooms",
                summary="List the rooms; a token that is bound to a room sees that one only.",
                handler=self.list,
                grant=grant,
                answer=RoomList,
            ),
            Route(
                method="GET",
                path="/v1/rooms/{room}",
                name="getRoom",
                summary="A room with its participants and tracks. The moderate grant will do too.",
                handler=self.get,
                grant=grant,
                answer=RoomDetail,
                errors=(404,),
            ),
            Route(
                method="DELETE",
                path="/v1/rooms/{room}",
                name="deleteRoom",
                summary="Close a room; everybody in it is told and disconnected.",
                handler=self.delete,
                grant=grant,
                status=204,
                errors=(404,),
            ),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """POST /v1/rooms"""
        self._access.with_grant(request, "room_create")
        wanted = await read_body(request, CreateRoom)
        self._access.to_manage_rooms(request, wanted.name)
        server, created_at = self._server, now()
        if server.is_draining:
            raise Problem(503, "draining", "the server is stopping")
        try:
            check_room_name(wanted.name)
            options = replace(server.door.room_options(), stage=wanted.stage, metadata=wanted.metadata)
            if wanted.capacity is not None:
                options = replace(options, capacity=wanted.capacity)
            if wanted.empty_timeout_s is not None:
                options = replace(options, empty_timeout_s=wanted.empty_timeout_s)
            if wanted.speakers_limit is not None:
                options = replace(options, speakers_limit=wanted.speakers_limit)
        except ValueError as error:
            raise Problem(422, "invalid", str(error)) from error
        before = server.rooms.get(wanted.name)
        try:
            room = server.rooms.open(wanted.name, options, created_at)
        except RoomError as error:
            raise problem_of(error) from error
        summary = room_summary(room, created_at)
        if room is before:
            return answer(summary)
        return answer(summary, 201, location=path_to("rooms", room.name))

    async def list(self, request: web.Request) -> web.Response:
        """GET /v1/rooms"""
        bound = self._access.claims(request).room
        self._access.to_manage_rooms(request, bound)
        seen_at = now()
        rooms = [room for room in self._server.rooms if bound in (None, ANY_ROOM, room.name)]
        return answer(RoomList(rooms=[room_summary(room, seen_at) for room in rooms]))

    async def get(self, request: web.Request) -> web.Response:
        """GET /v1/rooms/{room}"""
        self._access.to_see_room(request, request.match_info["room"])
        return answer(room_detail(find_room(self._server, request), now()))

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /v1/rooms/{room}"""
        self._access.to_manage_rooms(request, request.match_info["room"])
        room = find_room(self._server, request)
        await self._server.streams.stop_room(room.name)
        self._server.rooms.delete(room.name, now())
        return no_content()
