"""Drives a whole server over loopback sockets: guests that come, talk, moderate, break and come back at random,
and vandals that send sessions with damaged bytes.

`python -m fuzz.fuzz_server [SECONDS] [SEED]`, from the repository's root, runs for so long (60 s) and prints
what it did. After each round everything stands still for a moment, and an oracle compares: what each guest knows of
its room with the room itself, who heard a frame with who should, and the server's own lists with one another.
tests/server/test_soak.py runs a few rounds.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from typing import Any

import msgspec

from fuzz.guests import Guest, vandalise
from roomtone.participants.websocket import WebSocketParticipant
from roomtone.participants.websocket_events import participant_info, track_info
from roomtone.room.room import Room
from roomtone.room.seat import Seat
from roomtone.room.track import Track
from roomtone.server.app import Server
from tests.free import everything_fits, everything_is_free

ROOMS = ("lobby", "stage", "garden")
GUESTS_A_ROOM = 7
ACTIONS_A_ROUND = 40
GRANTS: tuple[dict[str, bool], ...] = (
    {},
    {},
    {"moderate": True},
    {"subscribe": False},
    {"publish": False},
    {"hidden": True},
    {"data": False},
)
PATIENCE_S = 20.0


class Campaign:
    """Rounds against one server. done: how often each thing was done."""

    def __init__(self, server: Server, seed: int) -> None:
        self.rng = random.Random(seed)
        self.server = server
        self.done: Counter[str] = Counter()
        self._serial = 0
        self.guests = [
            Guest(server, f"{room}-{index}", room, GRANTS[index % len(GRANTS)])
            for room in ROOMS
            for index in range(GUESTS_A_ROOM)
        ]

    async def round(self) -> None:
        """Chaos, then silence, then judgement."""
        rng = self.rng
        vandals = [asyncio.create_task(vandalise(self.server, rng.getrandbits(32))) for _ in range(3)]
        for _ in range(ACTIONS_A_ROUND):
            await self._act(rng.choice(self.guests))
        for end in await asyncio.gather(*vandals):
            self.done[f"vandal {end}"] += 1
        await self._settle()
        self._compare_views()
        await self._compare_hearing()
        everything_fits(self.server)
        assert self.server.door.closed_by_name["internal_error"] == 0
        self.done["rounds"] += 1

    async def end(self) -> None:
        """All guests go."""
        for guest in self.guests:
            guest.cut()
            await guest.gone()

    # --- chaos ----------------------------------------------------------------------------------------------

    async def _act(self, guest: Guest) -> None:
        rng = self.rng
        if not guest.alive:
            how = await guest.connect(resume=rng.random() < 0.7, forgetful=rng.random() < 0.2)
            self.done[how] += 1
            return
        actions = (
            self._talk, self._talk, self._open, self._open, self._close, self._mute, self._state, self._say,
            self._subscribe, self._moderate, self._flush, self._nonsense, self._break,
        )  # fmt: skip
        action = rng.choice(actions)
        self.done[action.__name__[1:]] += 1
        await action(guest)
        if rng.random() < 0.3:
            await asyncio.sleep(0)

    async def _talk(self, guest: Guest) -> None:
        for track in guest.own_tracks():
            guest.talk(track, 0)

    async def _open(self, guest: Guest) -> None:
        guest.command("track_open", name=str(self.rng.randrange(5)))

    async def _close(self, guest: Guest) -> None:
        tracks = guest.own_tracks() or [self.rng.randrange(50)]
        guest.command("track_close", track=self.rng.choice(tracks))

    async def _mute(self, guest: Guest) -> None:
        guest.command("mute", muted=self.rng.random() < 0.5)

    async def _state(self, guest: Guest) -> None:
        rng = self.rng
        guest.command(
            "set_state",
            name=rng.choice(("", "Ada", "\u00d8yvind", "\U0001f600" * 20)),
            hand_raised=rng.random() < 0.5,
            away=rng.random() < 0.3,
            attributes={rng.choice("abc"): rng.choice(("", "x", "y" * 500))},
        )

    async def _say(self, guest: Guest) -> None:
        to = None if self.rng.random() < 0.7 else [self.rng.choice(self.guests).identity]
        guest.command("message", data={"n": self.rng.random(), "text": "z" * self.rng.randrange(3000)}, to=to)

    async def _subscribe(self, guest: Guest) -> None:
        mode = self.rng.choice(("all", "all", "tracks", "speakers"))
        guest.command("subscribe", mode=mode, limit=2, tracks=self.rng.sample(range(30), 5))

    async def _moderate(self, guest: Guest) -> None:
        action = self.rng.choice(("mute", "unmute", "unmute", "promote", "promote", "demote", "remove"))
        mates = [mate.identity for mate in self.guests if mate.room == guest.room]
        guest.command("moderate", action=action, identity=self.rng.choice(mates))

    async def _flush(self, guest: Guest) -> None:
        for track in guest.own_tracks():
            guest.command("track_flush", track=track, from_sequence=self.rng.randrange(65_536))
            guest.command("track_duck", track=track, gain_db=-12, ramp_ms=10)

    async def _nonsense(self, guest: Guest) -> None:
        guest.send(self.rng.choice(("", "fly", "playout", "receive_report", "track_clock")), track=3, received=10**9)

    async def _break(self, guest: Guest) -> None:
        how = self.rng.randrange(5)
        if how == 0:
            guest.send("leave")
        elif how == 1:
            await guest.connect(resume=True)  # while the old connection is open
        elif how == 2:
            await guest.connect(resume=False)
        else:
            guest.cut()

    # --- silence --------------------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """All connections that the guests let go of are gone on the server too, and all it said has arrived."""
        await _until(lambda: len(self.server.door.connections) == sum(guest.alive for guest in self.guests))
        for _ in range(2):  # an answer to one guest may be news to another
            await asyncio.gather(*(guest.barrier() for guest in self.guests))

    # --- judgement ------------------------------------------------------------------------------------------

    def _compare_views(self) -> None:
        for guest in self.guests:
            if not guest.alive:
                continue
            room, seat = self._seat(guest)
            view = room.view(seat)
            truth: dict[Any, Any] = {
                one.participant_id: msgspec.to_builtins(participant_info(one)) for one in view.participants
            }
            assert guest.participants == truth, (guest.identity, guest.participants, truth)
            tracks: dict[Any, Any] = {one.track: msgspec.to_builtins(track_info(one)) for one in view.tracks}
            assert guest.tracks == tracks, (guest.identity, guest.tracks, tracks)

    async def _compare_hearing(self) -> None:
        """Everybody who can publishes one frame on each track; those and only those who may hear it do."""
        expected: dict[str, set[int]] = {guest.identity: set() for guest in self.guests}
        maybe: dict[str, set[int]] = {guest.identity: set() for guest in self.guests}
        for speaker in self.guests:
            if not speaker.alive:
                continue
            room, seat = self._seat(speaker)
            for track_id in speaker.own_tracks():
                self._serial += 1
                track = seat.tracks[track_id]
                speaker.talk(track_id, self._serial)
                for guest in self.guests:
                    if guest.alive and guest.room == room.name and guest is not speaker and _is_audible(track):
                        _, hearer = self._seat(guest)
                        if hearer.subscription.mode == "speakers":
                            maybe[guest.identity].add(self._serial)
                        elif _wants(hearer, track):
                            expected[guest.identity].add(self._serial)
        for guest in self.guests:
            guest.heard.clear()
        await asyncio.gather(*(guest.barrier() for guest in self.guests))
        await asyncio.gather(*(guest.barrier() for guest in self.guests))
        for guest in self.guests:
            if guest.alive:
                heard = guest.heard - {0}
                missing, excess = expected[guest.identity] - heard, heard - expected[guest.identity]
                assert not missing, (guest.identity, "did not hear", missing)
                assert excess <= maybe[guest.identity], (guest.identity, "should not have heard", excess)
                self.done["frames heard"] += len(heard)

    def _seat(self, guest: Guest) -> tuple[Room, Seat]:
        room = self.server.rooms.get(guest.room)
        assert room is not None
        seat = room.find(guest.identity)
        assert isinstance(getattr(seat.deliver, "__self__", None), WebSocketParticipant)
        assert seat.participant_id == guest.participant_id
        return room, seat


def _is_audible(track: Track) -> bool:
    return track.seat.role == "speaker" and not track.muted and not track.muted_by_moderator


def _wants(seat: Seat, track: Track) -> bool:
    subscription = seat.subscription
    return seat.grants.subscribe and (subscription.mode == "all" or track.id in subscription.tracks)


async def _until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "the server did not come to rest"
        await asyncio.sleep(0.001)


async def run(seconds: float, seed: int, rounds: int | None = None) -> Counter[str]:
    """Rounds for so long, or so many. AssertionError, with the seed printed, where the oracle disagrees."""
    settings: dict[str, Any] = {
        "max_control_messages_per_s": 10_000,
        "max_control_bytes_per_s": 10**9,
        "log_level": "error",
        "drain_timeout_s": 0,
    }
    server = Server(dev=True, port=0, **settings)
    async with server:
        campaign = Campaign(server, seed)
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end and (rounds is None or campaign.done["rounds"] < rounds):
                await campaign.round()
        except BaseException:
            print(f"seed {seed}, after {campaign.done['rounds']} rounds")
            raise
        finally:
            await campaign.end()
        campaign.done.update({f"closed {name}": count for name, count in server.door.closed_by_name.items()})
        campaign.done["resumed"] = server.door.resumed_sessions
    everything_is_free(server)
    return campaign.done


def main() -> None:
    """From the command line."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().getrandbits(32)
    with contextlib.suppress(KeyboardInterrupt):
        for name, count in sorted(asyncio.run(run(seconds, seed)).items()):
            print(f"{count:8} {name}")
        print(f"{seed:8} (seed)")


if __name__ == "__main__":
    main()
