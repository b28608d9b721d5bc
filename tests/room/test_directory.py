"""The rooms of a server."""

from __future__ import annotations

from itertools import count

import pytest

from roomtone.media.packet import Packet
from roomtone.room.directory import Directory
from roomtone.room.errors import RoomError
from roomtone.room.events import Removed
from roomtone.room.grants import Grants
from roomtone.room.options import RoomOptions
from tests.room.people import Person


def make_directory(max_rooms: int = 10) -> Directory:
    numbers = count(1)
    return Directory(ids=lambda prefix: f"{prefix}{next(numbers)}", max_rooms=max_rooms)


def test_a_room_is_opened_once_and_found_by_name() -> None:
    """Opening again gives the same room, whatever the options."""
    directory = make_directory()
    assert directory.get("lobby") is None
    room = directory.open("lobby", RoomOptions(capacity=3), 0)
    assert directory.open("lobby", RoomOptions(), 0) is room
    assert directory.get("lobby") is room
    assert room.options.capacity == 3
    assert [each.name for each in directory] == ["lobby"]
    assert len(directory) == 1


def test_there_is_a_limit_and_expired_rooms_do_not_count() -> None:
    """The refusal may be tried again later."""
    directory = make_directory(max_rooms=2)
    directory.open("a", RoomOptions(empty_timeout_s=60), 0)
    directory.open("b", RoomOptions(empty_timeout_s=600), 0)
    with pytest.raises(RoomError) as refused:
        directory.open("c", RoomOptions(), 10)
    assert refused.value.code == "limit_reached"
    assert refused.value.retryable
    directory.open("c", RoomOptions(), 60)
    assert sorted(room.name for room in directory) == ["b", "c"]


def test_an_expired_room_of_the_same_name_is_replaced() -> None:
    """Nobody gets into a room that is about to be forgotten."""
    directory = make_directory()
    old = directory.open("a", RoomOptions(empty_timeout_s=60), 0)
    new = directory.open("a", RoomOptions(), 60)
    assert new is not old
    assert old.closed
    assert not new.closed


def test_deleting_a_room_tells_everybody_in_it() -> None:
    """A name that is not there is not an error."""
    directory = make_directory()
    room = directory.open("a", RoomOptions(), 0)
    ada = Person()
    seat = room.join(ada, "ada", Grants(), 0)
    assert directory.delete("a", 1)
    assert not directory.delete("a", 1)
    assert seat.gone
    assert [event.reason for event in ada.of(Removed)] == ["room_closed"]
    assert directory.get("a") is None


def test_closing_deletes_all() -> None:
    """While iterating, too."""
    directory = make_directory()
    rooms = [directory.open(name, RoomOptions(), 0) for name in "abc"]
    for room in directory:
        if room.name == "a":
            directory.close(0)
    assert len(directory) == 0
    assert all(room.closed for room in rooms)


def test_tick_ticks_and_expires_and_says_when_next() -> None:
    """The earliest of all deadlines; None when there is nothing to wait for."""
    directory = make_directory()
    assert directory.tick(0) is None
    directory.open("empty", RoomOptions(empty_timeout_s=60), 0)
    busy = directory.open("busy", RoomOptions(reconnect_grace_s=30, empty_timeout_s=5), 0)
    seat = busy.join(Person(), "ada", Grants(), 0)
    assert directory.tick(0) == 60
    seat.suspend(0)
    assert directory.tick(0) == 30
    assert directory.tick(30) == 35
    assert directory.get("busy") is busy
    assert directory.tick(35) == 60
    assert directory.get("busy") is None
    assert directory.tick(60) is None
    assert len(directory) == 0


def test_statistics_outlive_their_rooms() -> None:
    """A room that came and went between two looks counts as well as one that is open."""
    directory = make_directory()
    for name in ("gone", "open"):
        room = directory.open(name, RoomOptions(), 0)
        ada, bob = (room.join(Person(), identity, Grants(), 0) for identity in ("ada", "bob"))
        heard, muted = ada.open_track("opus", 0), bob.open_track("opus", 0)
        room.mute("bob", True, 0, muted.id)
        ada.publish(Packet(heard.id, 1, 0, b"\x08\x00"), 0)
        bob.publish(Packet(muted.id, 1, 0, b"\x08\x00"), 0)
        if name == "gone":
            directory.delete(name, 0)
    total = directory.statistics
    assert (total.participants, total.tracks) == (2, 2)
    assert (total.packets_in, total.packets_delivered, total.packets_dropped) == (4, 2, {"muted": 2})
    directory.close(0)
    after = directory.statistics
    assert (after.participants, after.tracks) == (0, 0)
    assert (after.packets_in, after.packets_delivered, after.packets_dropped) == (4, 2, {"muted": 2})
