"""Rooms over HTTP."""

from __future__ import annotations

import pytest

from tests.server.http import calling, is_problem


async def test_a_room_is_created_once() -> None:
    """The first POST is a 201 with a Location; the same name again is the room as it is."""
    async with calling() as api:
        body = {"name": "a b", "capacity": 7, "stage": True, "speakers_limit": 3, "empty_timeout_s": 9, "metadata": "m"}
        made = await api("POST", "/v1/rooms", json=body)
        assert made.status == 201
        assert made.headers["Location"] == "/v1/rooms/a%20b"
        assert {key: made.json[key] for key in body} == body
        assert (made.json["participant_count"], made.json["track_count"]) == (0, 0)
        again = await api("POST", "/v1/rooms", json={"name": "a b", "capacity": 1})
        assert (again.status, again.json["capacity"]) == (200, 7)
        found = await api("GET", made.headers["Location"])
        assert (found.status, found.json["participants"], found.json["tracks"]) == (200, [], [])


async def test_options_default_to_the_servers_settings() -> None:
    """A room that names only itself is as one that is made by joining."""
    async with calling(max_participants_per_room=11, empty_room_timeout_s=5) as api:
        made = (await api("POST", "/v1/rooms", json={"name": "plain"})).json
        assert (made["capacity"], made["empty_timeout_s"], made["stage"]) == (11, 5, False)
        assert made["speakers_limit"] is None


async def test_rooms_are_listed_and_deleted() -> None:
    """A deleted room is gone from the list, and deleting it again is a 404."""
    async with calling() as api:
        for name in ("one", "two"):
            await api("POST", "/v1/rooms", json={"name": name})
        listed = await api("GET", "/v1/rooms")
        assert [room["name"] for room in listed.json["rooms"]] == ["one", "two"]
        gone = await api("DELETE", "/v1/rooms/one")
        assert (gone.status, gone.text) == (204, "")
        is_problem(await api("DELETE", "/v1/rooms/one"), 404, "unknown_room")
        is_problem(await api("GET", "/v1/rooms/one"), 404, "unknown_room")
        assert [room["name"] for room in (await api("GET", "/v1/rooms")).json["rooms"]] == ["two"]


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ("{", 400, "invalid_json"),
        ("", 400, "invalid_json"),
        ("[" * 100_000, 413, "body_too_big"),
        (b'{"name": "\xff"}', 400, "invalid_json"),
        ("[]", 422, "invalid"),
        ('{"name": "a", "metadata": "\\ud800"}', 400, "invalid_json"),
        ("{}", 422, "invalid"),
        ('{"name": ""}', 422, "invalid"),
        ('{"name": 5}', 422, "invalid"),
        ('{"name": "a/b"}', 422, "invalid"),
        ('{"name": " a"}', 422, "invalid"),
        ('{"name": "a\\n"}', 422, "invalid"),
        ('{"name": "a", "capacity": 0}', 422, "invalid"),
        ('{"name": "a", "capacity": "5"}', 422, "invalid"),
        ('{"name": "a", "empty_timeout_s": -1}', 422, "invalid"),
        ('{"name": "a", "speakers_limit": 65}', 422, "invalid"),
        ('{"name": "a", "capacitty": 5}', 422, "invalid"),
    ],
)
async def test_bad_bodies_are_refused(data: str | bytes, status: int, code: str) -> None:
    """Every body that does not fit is a problem document, and makes no room."""
    async with calling() as api:
        is_problem(await api("POST", "/v1/rooms", data=data), status, code)
        assert (await api("GET", "/v1/rooms")).json["rooms"] == []


async def test_the_limit_on_rooms_is_a_503() -> None:
    """The server's limit is its own state, not the caller's fault."""
    async with calling(max_rooms=1) as api:
        assert (await api("POST", "/v1/rooms", json={"name": "one"})).status == 201
        is_problem(await api("POST", "/v1/rooms", json={"name": "two"}), 503, "limit_reached")


async def test_managing_rooms_needs_the_grant() -> None:
    """room_create opens these routes, and nothing else does but moderate for looking at one's own room."""
    async with calling() as api:
        await api("POST", "/v1/rooms", json={"name": "lobby"})
        for other in (api.granted(), api.granted(ingress=True)):
            is_problem(await other("POST", "/v1/rooms", json={"name": "x"}), 403, "grant_missing")
            is_problem(await other("GET", "/v1/rooms"), 403, "grant_missing")
            is_problem(await other("GET", "/v1/rooms/lobby"), 403, "grant_missing")
            is_problem(await other("DELETE", "/v1/rooms/lobby"), 403, "grant_missing")
        moderator = api.granted(room="lobby", moderate=True)
        assert (await moderator("GET", "/v1/rooms/lobby")).status == 200
        is_problem(await moderator("DELETE", "/v1/rooms/lobby"), 403, "grant_missing")


async def test_a_token_of_one_room_manages_that_room_alone() -> None:
    """A participant who may create their own room must not delete everybody else's."""
    async with calling() as api:
        await api("POST", "/v1/rooms", json={"name": "other"})
        bound = api.granted(room="mine", room_create=True)
        assert (await bound("POST", "/v1/rooms", json={"name": "mine"})).status == 201
        is_problem(await bound("POST", "/v1/rooms", json={"name": "third"}), 403, "wrong_room")
        is_problem(await bound("DELETE", "/v1/rooms/other"), 403, "wrong_room")
        is_problem(await bound("GET", "/v1/rooms/other"), 403, "wrong_room")
        assert [room["name"] for room in (await bound("GET", "/v1/rooms")).json["rooms"]] == ["mine"]
        free = api.granted(room=None, room_create=True)
        assert len((await free("GET", "/v1/rooms")).json["rooms"]) == 2
