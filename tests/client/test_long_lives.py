"""Clients over long and bad lives: what a network does to them leaves no trace."""

from __future__ import annotations

import asyncio
import gc
import os
import tracemalloc
from collections.abc import AsyncIterator

import numpy as np
import pytest

import roomtone
from roomtone.client.room import Room
from roomtone.media.delay import fixed
from roomtone.media.packet import Packet
from roomtone.media.pcm import Pcm
from roomtone.protocol.backoff import Backoff
from roomtone.room.grants import Grants
from tests.client.relay import Relay
from tests.client.rooms import DEADLINE_S, chirp, cut, joining, serving, until

RECONNECTS = 30
MAX_GROWTH_BYTES = 600_000


async def _talk() -> AsyncIterator[Pcm]:
    while True:
        yield chirp(0.02)
        await asyncio.sleep(0.015)


def _at_once(room: Room) -> None:
    """Come back without a pause: the test is about what happens then."""
    assert room._link is not None
    room._link._backoff = Backoff(lambda: 0.0)


class Ear:
    """Counts the frames in which something is heard, over all of a room's tracks."""

    def __init__(self) -> None:
        self.heard = 0

    async def listen(self, room: Room) -> None:
        while True:
            track = await room.next_track()
            async for frame in track.frames():
                self.heard += bool(np.abs(frame.pcm).max() > 500)


async def _collect(room: Room, into: list[int]) -> None:
    async for event in room.events():
        if isinstance(event, roomtone.RoomMessage):
            into.append(event.data)


async def _count_up(room: Room, sent: list[int], until_stopped: asyncio.Event) -> None:
    while not until_stopped.is_set():
        await room.send(len(sent))
        sent.append(len(sent))
        await asyncio.sleep(0.01)


async def _break(relay: Relay, how: str) -> None:
    if how == "stall":
        relay.stalled = True
        await asyncio.sleep(0.1)
    elif how == "refuse":
        relay.refusing = True
    relay.cut()
    await asyncio.sleep(0.02)
    relay.stalled = relay.refusing = False


async def test_thirty_reconnects_leave_nothing_behind() -> None:
    """Cuts, stalls and refusals: the sound comes back, commands and events come once each, in order, ids stay."""
    async with serving() as server, Relay(int(server.url.rsplit(":", 1)[1]), 7) as relay:
        jitter = fixed(40)
        async with (
            roomtone.connect(relay.url, server.token("ada", room="lobby"), jitter=jitter) as ada,
            roomtone.connect(relay.url, server.token("bob", room="lobby"), jitter=jitter) as bob,
            joining(server, "eve") as eve,
        ):
            _at_once(ada)
            _at_once(bob)
            relay.jitter_s = 0.004
            ear, stop = Ear(), asyncio.Event()
            at_bob: list[int] = []
            at_eve: list[int] = []
            sent: list[int] = []
            ids = [(await ada.publish(_talk())).id, (await ada.open_track()).id]
            sending = asyncio.create_task(_count_up(ada, sent, stop))
            tasks = [asyncio.create_task(c) for c in (ear.listen(bob), _collect(bob, at_bob), _collect(eve, at_eve))]
            held = (0, 0)
            for number in range(RECONNECTS):
                before, reconnects = ear.heard, ada.statistics.reconnects
                await _break(relay, relay.random.choice(["cut", "cut", "stall", "refuse"]))
                await until(lambda n=reconnects: ada.statistics.reconnects > n and ada.state == bob.state == "joined")
                await until(lambda b=before: ear.heard > b + 2)
                if number == 9:
                    gc.collect()
                    tracemalloc.start()
                    held = (len(asyncio.all_tasks()), len(os.listdir("/proc/self/fd")))
            gc.collect()
            grown, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert grown < MAX_GROWTH_BYTES
            await until(lambda: len(asyncio.all_tasks()) <= held[0])
            assert len(os.listdir("/proc/self/fd")) <= held[1]
            stop.set()
            await sending
            await until(lambda: len(at_bob) == len(at_eve) == len(sent))
            assert at_bob == at_eve == sent
            assert [track.id for track in ada.local_tracks] == ids
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_cancelled_join_keeps_no_seat() -> None:
    """Whoever gives up at any moment of joining, or while publishing, is not left in the room as reconnecting."""
    async with serving() as server, joining(server, "eve") as eve:
        for steps in range(0, 40, 2):

            async def enter(steps: int = steps) -> None:
                async with joining(server, f"ada {steps}") as ada:
                    await ada.publish([chirp(1)])
                    await asyncio.Event().wait()

            entering = asyncio.create_task(enter())
            for _ in range(steps):
                await asyncio.sleep(0)
            entering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await entering
        await until(lambda: set(eve.participants) == {"eve"} and len(server.door.connections) == 1)


async def test_a_busy_client_keeps_within_the_servers_limit() -> None:
    """Commands one after the other, hundreds at once, and hundreds after a reconnect: none costs the session."""
    async with serving() as server, joining(server, "ada") as ada:
        _at_once(ada)
        for number in range(130):
            await ada.send(number)
        many = [asyncio.ensure_future(ada.send(number)) for number in range(120)]
        await asyncio.sleep(0)
        cut(ada)
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*many)
        assert ada.statistics.reconnects == 1
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*(ada.send("long " * 3_000) for _ in range(40)))
        assert ada.statistics.reconnects == 1
        assert not server.door.closed_by_name["rate_limited"]


@pytest.mark.parametrize("memory", [False, True], ids=["socket", "memory"])
async def test_a_full_room_is_joined(memory: bool) -> None:
    """Hundreds of people with all the metadata that they may have: megabytes that come in parts, and are all taken."""

    class Guest:
        def deliver(self, packet: Packet, now: float) -> None: ...
        def notify(self, event: object, now: float) -> None: ...

    async with serving() as server:
        now = asyncio.get_running_loop().time()
        room = server.rooms.open("lobby", server.door.room_options(), now)
        for number in range(400):
            room.join(Guest(), f"guest {number}", Grants(), now, metadata="é" * 4_096)
        async with joining(server, "ada", memory=memory) as ada:
            await until(lambda: len(ada.participants) == 401)
            assert ada.statistics.reconnects == 0


async def test_a_stricter_server_is_obeyed() -> None:
    """A server that takes ten messages a second tells so, and the client keeps to it."""
    async with serving(max_control_messages_per_s=10) as server, joining(server, "ada") as ada:
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*(ada.send(number) for number in range(30)))
        assert ada.statistics.reconnects == 0
        assert not server.door.closed_by_name["rate_limited"]
