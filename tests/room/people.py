"""Participants that write down what a room does to them, and a room with a virtual clock."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, TypeVar

from roomtone.media.packet import FLAG_DISCONTINUITY, Codec, Packet
from roomtone.room.events import RoomEvent
from roomtone.room.grants import Grants
from roomtone.room.options import RoomOptions
from roomtone.room.room import Room
from roomtone.room.seat import Seat
from roomtone.room.track import Spread, Track

Event = TypeVar("Event", bound=RoomEvent)


class Person:
    """Takes and keeps everything."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.heard: list[Packet] = []
        self.told: list[RoomEvent] = []

    def deliver(self, packet: Packet, now: float) -> None:
        self.heard.append(packet)

    def notify(self, event: RoomEvent, now: float) -> None:
        self.told.append(event)

    def of(self, kind: type[Event]) -> list[Event]:
        """The events of one kind that it was told."""
        return [event for event in self.told if isinstance(event, kind)]

    def sequences(self) -> list[int]:
        return [packet.sequence for packet in self.heard]

    def marked(self) -> list[int]:
        """The sequence numbers of the packets that came flagged discontinuous."""
        return [packet.sequence for packet in self.heard if packet.flags & FLAG_DISCONTINUITY]


class Hall:
    """A room, its clock, and whoever was let in, by identity."""

    def __init__(self, *, spread: Spread | None = None, **options: Any) -> None:
        numbers: Iterator[int] = count(1)
        self.now = 0.0
        self.room = Room(
            "hall",
            RoomOptions(**options),
            ids=lambda prefix: f"{prefix}{next(numbers)}",
            now=self.now,
            spread=spread,
        )
        self.people: dict[str, Person] = {}
        self.sequences: dict[int, int] = {}

    def join(self, identity: str, grants: Grants | None = None, **profile: Any) -> Seat:
        person = self.people[identity] = Person(identity)
        return self.room.join(person, identity, grants or Grants(), self.now, **profile)

    def speaker(self, identity: str, **profile: Any) -> tuple[Seat, Track]:
        seat = self.join(identity, **profile)
        return seat, seat.open_track("opus", self.now)

    def say(self, track: Track, packets: int = 1, *, level: int = 20, voice: bool = True) -> None:
        """Publish the track's next packets, all now."""
        for _ in range(packets):
            sequence = self.sequences.get(track.id, 0)
            self.sequences[track.id] = sequence + 1
            track.seat.publish(frame(track, sequence, level=level, voice=voice), self.now)

    def talk(self, *tracks: Track, seconds: float, level: int = 20, voice: bool = True) -> None:
        """All of them in packets of 20 ms, ticking the room after each."""
        for _ in range(round(seconds / 0.02)):
            self.now += 0.02
            for track in tracks:
                self.say(track, level=level, voice=voice)
            self.room.tick(self.now)

    def wait(self, seconds: float) -> None:
        """Nobody says anything; the room is ticked ten times a second."""
        for _ in range(round(seconds / 0.1)):
            self.now += 0.1
            self.room.tick(self.now)


def frame(
    track: Track,
    sequence: int,
    *,
    level: int = 20,
    voice: bool = True,
    codec: Codec | None = None,
    size: int = 80,
) -> Packet:
    """A 20 ms packet of `track`."""
    return Packet(
        track.id,
        sequence & 0xFFFF,
        960 * sequence & 0xFFFF_FFFF,
        b"\x78" * size,
        codec=track.codec if codec is None else codec,
        level=level,
        voice=voice,
    )


MODERATOR = Grants(moderate=True)
HIDDEN = Grants(hidden=True)
AUDIENCE = Grants(publish=False)
