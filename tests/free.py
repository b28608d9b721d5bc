"""What a server holds and must not hold: asked at the end of every test that serves."""

from __future__ import annotations

import asyncio

from roomtone.participants.websocket import WebSocketParticipant
from roomtone.server.app import Server


def everything_fits(server: Server) -> None:
    """The server's lists agree with one another, whatever happened before."""
    door = server.door
    connections = door.connections
    assert sum(door._per_ip.values()) == len(connections)
    assert all(count > 0 for count in door._per_ip.values())
    assert set().union(*server._sweeper._buckets) == connections
    seated = set(door.participants())
    for participant in seated:
        seat = participant.seat
        assert not seat.gone, f"{seat.identity} is gone, but its resume token is kept"
        assert server.rooms.get(seat.room.name) is seat.room
        assert seat in tuple(seat.room.seats())
        connection = participant.connection
        assert (connection is None) == (seat.suspended_until is not None) or server.errands
        if connection is not None:
            assert connection.participant is participant
            assert connection in connections
    for connection in connections:
        assert connection.participant is None or connection.participant in seated
    for room in server.rooms:
        for seat in room.seats():
            owner = getattr(seat.deliver, "__self__", None)
            assert not isinstance(owner, WebSocketParticipant) or owner in seated
        for track in room.track_table:
            assert not track.seat.gone
            assert all(track.id in hearer.heard for hearer in track.hearing)


def everything_is_free(server: Server) -> None:
    """After stop(): not a connection, seat, room, timer or task is left."""
    door = server.door
    assert not door.connections
    assert not door._per_ip
    assert not door._participants
    assert len(server.rooms) == 0
    assert not any(server._sweeper._buckets)
    assert server._sweeper._timer is None
    assert server._sweeper._slice is None
    assert not server.spreader._pending
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    ours = [task for task in left if "roomtone" in repr(task.get_coro()) or "aiohttp" in repr(task.get_coro())]
    assert not ours, ours
