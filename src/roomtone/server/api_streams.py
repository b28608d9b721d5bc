"""/v1/rooms/{room}/streams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from roomtone.participants.broadcaster import BroadcastOptions
from roomtone.room.errors import RoomError
from roomtone.server.api_access import Access
from roomtone.server.api_route import Route, answer, no_content, path_to, problem_of, read_body
from roomtone.server.api_types import StartStream, StreamInfo, StreamList
from roomtone.server.problems import Problem
from roomtone.sources.errors import SourceError

if TYPE_CHECKING:
    from roomtone.server.app import Server

_ALL = "/v1/rooms/{room}/streams"
_ONE = "/v1/rooms/{room}/streams/{stream}"


class StreamRoutes:
    """Start, list and stop what the server plays into a room."""

    def __init__(self, server: Server, access: Access) -> None:
        self._server = server
        self._access = access

    def routes(self) -> list[Route]:
        """All of them."""
        grant = "ingress"
        return [
            Route(
                method="POST",
                path=_ALL,
                name="startStream",
                summary="Play URLs or files into the room. A source that cannot be opened is a 422.",
                handler=self.start,
                grant=grant,
                body=StartStream,
                answer=StreamInfo,
                status=201,
                errors=(400, 409, 422, 503),
            ),
            Route(
                method="GET",
                path=_ALL,
                name="listStreams",
                summary="The room's streams, the newest of those that ended too.",
                handler=self.list,
                grant=grant,
                answer=StreamList,
            ),
            Route(
                method="GET",
                path=_ONE,
                name="getStream",
                summary="One stream.",
                handler=self.get,
                grant=grant,
                answer=StreamInfo,
                errors=(404,),
            ),
            Route(
                method="DELETE",
                path=_ONE,
                name="stopStream",
                summary="Stop a stream.",
                handler=self.stop,
                grant=grant,
                status=204,
                errors=(404,),
            ),
        ]

    async def start(self, request: web.Request) -> web.Response:
        """POST /v1/rooms/{room}/streams"""
        room = self._check(request)
        wanted = await read_body(request, StartStream)
        try:
            options = BroadcastOptions(
                loop=wanted.loop,
                bitrate_bps=wanted.bitrate_bps,
                content=wanted.content,
                track_name=wanted.name,
            )
            info = await self._server.streams.start(room, wanted.source, options, name=wanted.name)
        except SourceError as error:
            raise Problem(422, f"source_{error.fault}", str(error)) from error
        except RoomError as error:
            raise problem_of(error) from error
        except ValueError as error:
            raise Problem(422, "invalid", str(error)) from error
        return answer(info, 201, location=path_to("rooms", room, "streams", info.id))

    async def list(self, request: web.Request) -> web.Response:
        """GET /v1/rooms/{room}/streams"""
        return answer(StreamList(streams=self._server.streams.list(self._check(request))))

    async def get(self, request: web.Request) -> web.Response:
        """GET /v1/rooms/{room}/streams/{stream}"""
        return answer(self._found(request))

    async def stop(self, request: web.Request) -> web.Response:
        """DELETE /v1/rooms/{room}/streams/{stream}"""
        info = self._found(request)
        if not await self._server.streams.stop(info.id):
            raise Problem(404, "unknown_stream", f"the stream {info.id!r} has ended")
        return no_content()

    def _check(self, request: web.Request) -> str:
        room: str = request.match_info["room"]
        self._access.in_room(request, "ingress", room)
        return room

    def _found(self, request: web.Request) -> StreamInfo:
        room, stream_id = self._check(request), request.match_info["stream"]
        info = self._server.streams.get(stream_id, room)
        if info is None:
            raise Problem(404, "unknown_stream", f"there is no stream {stream_id!r} in the room {room!r}")
        return info
