"""Streams: what the server itself plays into rooms, started and stopped over the HTTP API."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from roomtone.logs import get_logger
from roomtone.participants.broadcaster import Broadcaster, BroadcastOptions
from roomtone.room.errors import RoomError
from roomtone.room.room import Room
from roomtone.server.api_types import StreamInfo
from roomtone.sources.policy import SourcePolicy
from roomtone.sources.spec import describe

if TYPE_CHECKING:
    from roomtone.server.app import Server

log = get_logger(__name__)

KEPT_AFTER_END: Final = 100
"""Ended streams that are still told of, so that a caller learns why one failed."""
IDENTITY_PREFIX: Final = "stream:"


@dataclass(frozen=True, slots=True)
class Stream:
    """One source that is, or was, played into a room."""

    id: str
    room: str
    source: list[str]
    broadcaster: Broadcaster

    def info(self) -> StreamInfo:
        """As of now."""
        status, options = self.broadcaster.status, self.broadcaster.options
        return StreamInfo(
            id=self.id,
            room=self.room,
            identity=self.broadcaster.identity,
            source=self.source,
            name=self.broadcaster.name,
            loop=bool(options.loop),
            content=options.content,
            bitrate_bps=status.bitrate_bps,
            state=status.state,
            item=status.item,
            seconds_played=round(status.seconds_played, 3),
            loops=status.loops,
            underruns=status.underruns,
            error=status.error if status.state == "failed" else "",
            warnings=list(status.warnings),
        )


class Streams:
    """Starts and stops broadcasters. All methods belong on the server's loop; close() ends them all."""

    def __init__(self, server: Server) -> None:
        config = server.config
        self._server = server
        self._policy = SourcePolicy(
            allow_private_addresses=config.allow_private_stream_urls, media_dir=config.media_dir
        )
        self._max_streams = config.max_streams
        self._running: dict[str, Stream] = {}
        self._ended: deque[Stream] = deque(maxlen=KEPT_AFTER_END)
        self._watchers: set[asyncio.Task[None]] = set()
        self.started = 0
        self.failed = 0

    async def start(
        self,
        room: str,
        source: str | list[str],
        options: BroadcastOptions | None = None,
        *,
        name: str = "",
    ) -> StreamInfo:
        """Open `source` and play it into `room`, which is made where rooms are made by joining.

        Raises SourceError where the source cannot be opened, RoomError for limits and a room that is not
        there, ValueError for options or a room's name that make no sense.
        """
        if self._server.is_draining:
            raise RoomError("limit_reached", "the server is stopping", retryable=True)
        if len(self._running) >= self._max_streams:
            raise RoomError("limit_reached", f"the server has its {self._max_streams} streams", retryable=True)
        items = [source] if isinstance(source, str) else list(source)
        identity = secrets.token_hex(6)
        broadcaster = Broadcaster(
            self._room(room),
            source if isinstance(source, str) else items,
            identity=IDENTITY_PREFIX + identity,
            name=name or describe(source),
            policy=self._policy,
            options=options,
        )
        stream = Stream(identity, room, [describe(item) for item in items], broadcaster)
        self._running[stream.id] = stream
        try:
            await broadcaster.start()
        except BaseException:
            self._running.pop(stream.id, None)
            self.failed += 1
            raise
        self.started += 1
        log.info("stream started", stream=stream.id, room=room, source=broadcaster.label)
        watcher = asyncio.create_task(self._watch(stream), name=f"roomtone stream {stream.id}")
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)
        return stream.info()

    def list(self, room: str | None = None) -> list[StreamInfo]:
        """All streams (of one room), the newest of those that ended too."""
        streams = [*self._running.values(), *self._ended]
        return [stream.info() for stream in streams if room in (None, stream.room)]

    def get(self, stream_id: str, room: str | None = None) -> StreamInfo | None:
        """One stream, running or ended not long ago."""
        return next((info for info in self.list(room) if info.id == stream_id), None)

    async def stop(self, stream_id: str) -> bool:
        """End a stream; False where none of that id runs."""
        stream = self._running.get(stream_id)
        if stream is None:
            return False
        await stream.broadcaster.stop()
        self._end(stream)
        return True

    async def stop_room(self, room: str) -> None:
        """End every stream of a room."""
        await asyncio.gather(*(self.stop(one.id) for one in self._running.values() if one.room == room))

    async def close(self) -> None:
        """End every stream."""
        await asyncio.gather(*(self.stop(stream_id) for stream_id in tuple(self._running)))
        await asyncio.gather(*self._watchers)

    @property
    def running(self) -> int:
        """How many play now, or are about to."""
        return len(self._running)

    def _room(self, name: str) -> Room:
        from roomtone.server.door import check_room_name

        room = self._server.rooms.get(name)
        if room is not None:
            return room
        if not self._server.config.auto_create_rooms:
            raise RoomError("invalid", f"there is no room {name!r}: create it first")
        now = asyncio.get_running_loop().time()
        return self._server.rooms.open(check_room_name(name), self._server.door.room_options(), now)

    async def _watch(self, stream: Stream) -> None:
        status = await stream.broadcaster.wait()
        if status.state == "failed":
            self.failed += 1
            log.warning("stream failed", stream=stream.id, room=stream.room, reason=status.error)
        else:
            log.info("stream ended", stream=stream.id, room=stream.room, state=status.state)
        self._end(stream)

    def _end(self, stream: Stream) -> None:
        if self._running.pop(stream.id, None) is not None:
            self._ended.append(stream)
