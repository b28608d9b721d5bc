"""Moderation and messages over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from roomtone.room.grants import Grants
from roomtone.server.app import Server
from tests.server.http import calling, is_problem


class Silent:
    """A participant that only remembers what it is told."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def deliver(self, packet: Any, now: float) -> None:
        """It does not listen."""

    def notify(self, event: Any, now: float) -> None:
        """Remember."""
        self.events.append(event)


def seat(server: Server, identity: str, **grants: bool) -> Any:
    """Somebody in the room "lobby"."""
    now = asyncio.get_running_loop().time()
    room = server.rooms.open("lobby", server.door.room_options(), now)
    return room.join(Silent(), identity, Grants(**grants), now)


async def test_participants_are_listed_with_the_hidden() -> None:
    """The server's owner sees everybody; an identity may hold any character."""
    async with calling() as api:
        seat(api.server, "ada/1 ä")
        seat(api.server, "ear", hidden=True)
        listed = (await api("GET", "/v1/rooms/lobby/participants")).json["participants"]
        assert [(one["identity"], one["hidden"]) for one in listed] == [("ada/1 ä", False), ("ear", True)]
        one = await api("GET", "/v1/rooms/lobby/participants/ada%2F1%20%C3%A4")
        assert (one.status, one.json["identity"], one.json["role"]) == (200, "ada/1 ä", "speaker")


async def test_mute_and_role_are_changed() -> None:
    """Each field does what it says, a missing one nothing; the answer is the participant as it is then."""
    async with calling() as api:
        ada = seat(api.server, "ada")
        path = "/v1/rooms/lobby/participants/ada"
        first, second = ada.open_track("opus", 0.0), ada.open_track("opus", 0.0)
        muted = await api("PATCH", path, json={"muted": True})
        assert (muted.json["muted"], first.muted_by_moderator, second.muted_by_moderator) == (True, True, True)
        await api("PATCH", path, json={"muted": False, "track": second.id})
        assert (first.muted_by_moderator, second.muted_by_moderator) == (True, False)
        assert (await api("PATCH", path, json={"role": "listener"})).json["role"] == "listener"
        assert (await api("PATCH", path, json={})).json["role"] == "listener"
        assert (await api("PATCH", path, json={"role": "speaker", "muted": False})).json["role"] == "speaker"
        assert not first.muted_by_moderator


async def test_a_participant_is_removed() -> None:
    """Gone from the room, and told why."""
    async with calling() as api:
        ada = seat(api.server, "ada")
        assert (await api("DELETE", "/v1/rooms/lobby/participants/ada")).status == 204
        assert ada.gone
        is_problem(await api("DELETE", "/v1/rooms/lobby/participants/ada"), 404, "unknown_participant")


async def test_what_cannot_be_done_is_a_problem() -> None:
    """Nobody of that name, no such track, a role that the token does not allow, contradictory bodies."""
    async with calling() as api:
        seat(api.server, "ear", publish=False)
        path = "/v1/rooms/lobby/participants/"
        is_problem(await api("PATCH", path + "nobody", json={"muted": True}), 404, "unknown_participant")
        is_problem(await api("GET", path + "nobody"), 404, "unknown_participant")
        is_problem(await api("PATCH", path + "ear", json={"muted": True, "track": 9}), 404, "unknown_track")
        is_problem(await api("PATCH", path + "ear", json={"role": "speaker"}), 409, "not_permitted")
        ada = seat(api.server, "ada")
        both = {"role": "listener", "muted": True, "track": 9}
        is_problem(await api("PATCH", path + "ada", json=both), 404, "unknown_track")
        assert ada.role == "speaker"
        is_problem(await api("PATCH", path + "ear", json={"track": 1}), 422, "invalid")
        is_problem(await api("PATCH", path + "ear", json={"role": "king"}), 422, "invalid")
        is_problem(await api("PATCH", path + "ear", data="{"), 400, "invalid_json")
        is_problem(await api("GET", "/v1/rooms/none/participants"), 404, "unknown_room")


async def test_a_message_reaches_whom_it_is_for() -> None:
    """To all, or to the named; the sender is empty, for it is the server."""
    async with calling() as api:
        ada, bob = seat(api.server, "ada"), seat(api.server, "bob")
        heard = {who.identity: who.notify.__self__.events for who in (ada, bob)}
        for events in heard.values():
            events.clear()
        sent = await api("POST", "/v1/rooms/lobby/messages", json={"topic": "t", "data": {"n": 1}})
        assert sent.status == 204
        await api("POST", "/v1/rooms/lobby/messages", json={"data": 2, "to": ["bob"]})
        assert [(event.sender, event.topic, event.data) for event in heard["ada"]] == [("", "t", {"n": 1})]
        assert [event.data for event in heard["bob"]] == [{"n": 1}, 2]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"data": "x" * 16_400}, 413, "body_too_big"),
        ({"to": ["nobody"]}, 404, "unknown_participant"),
        ({"to": []}, 422, "invalid"),
        ({"topic": 5}, 422, "invalid"),
        ({"topic": "t" * 257}, 422, "invalid"),
    ],
)
async def test_bad_messages_are_refused(body: dict[str, Any], status: int, code: str) -> None:
    """Size, audience and types are checked before anybody is told."""
    async with calling() as api:
        seat(api.server, "ada")
        is_problem(await api("POST", "/v1/rooms/lobby/messages", json=body), status, code)


async def test_deep_data_is_refused() -> None:
    """64 arrays inside one another are fine, more might choke somebody's JSON library."""
    async with calling() as api:
        seat(api.server, "ada")
        path = "/v1/rooms/lobby/messages"
        fine, deep = "[" * 60 + "]" * 60, "[" * 70 + "]" * 70
        assert (await api("POST", path, data=f'{{"data": {fine}}}')).status == 204
        is_problem(await api("POST", path, data=f'{{"data": {deep}}}'), 422, "invalid")
        is_problem(await api("POST", path, data='{"data": ' + "[" * 50_000), 400, "invalid_json")


async def test_moderating_needs_the_grant_and_the_room() -> None:
    """A moderator of another room, or a token without a room, opens nothing here."""
    async with calling() as api:
        seat(api.server, "ada")
        path = "/v1/rooms/lobby/participants/ada"
        mine = api.granted(room="lobby", moderate=True)
        assert (await mine("PATCH", path, json={"muted": True})).status == 200
        for room in ("other", None):
            is_problem(await api.granted(room=room, moderate=True)("DELETE", path), 403, "wrong_room")
        creator = api.granted(room_create=True)
        is_problem(await creator("DELETE", path), 403, "grant_missing")
        is_problem(await creator("POST", "/v1/rooms/lobby/messages", json={}), 403, "grant_missing")
