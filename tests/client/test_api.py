"""The HTTP API's client, against the real server."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

import roomtone
from roomtone.server.app import Server
from tests.client.rooms import SAMPLE, joining, serving, until


def api(server: Server, **grants: bool) -> roomtone.ServerApi:
    """A client with these grants."""
    return roomtone.ServerApi(server.url, server.token("operator", room="*", grants=grants))


async def test_rooms_come_and_go() -> None:
    """Create with options, list, look, delete; everybody in the room is told."""
    async with serving() as server, api(server, room_create=True) as rooms:
        made = await rooms.create_room("stage", capacity=5, stage=True, metadata="m")
        assert (made["name"], made["capacity"], made["stage"], made["metadata"]) == ("stage", 5, True, "m")
        assert [room["name"] for room in await rooms.rooms()] == ["stage"]
        async with joining(server, "ada", room="stage") as ada:
            detail = await rooms.room("stage")
            assert [one["identity"] for one in detail["participants"]] == ["ada"]
            await rooms.delete_room("stage")
            with pytest.raises(roomtone.RoomClosed):
                await ada.wait_closed()
        assert await rooms.rooms() == []


async def test_participants_are_moderated() -> None:
    """Mute, promote, demote, tell, remove."""
    async with serving() as server, api(server, moderate=True) as moderator, joining(server, "ada") as ada:
        track = await ada.open_track()
        assert [one["identity"] for one in await moderator.participants("lobby")] == ["ada"]
        assert (await moderator.mute("lobby", "ada"))["muted"]
        await until(lambda: track.muted_by_moderator)
        await moderator.mute("lobby", "ada", False, track=track.id)
        await until(lambda: not track.muted_by_moderator)
        events = ada.events()
        await moderator.send_message("lobby", {"hello": 1}, topic="t", to=["ada"])
        async for event in events:
            if isinstance(event, roomtone.RoomMessage):
                assert (event.sender, event.data) == ("", {"hello": 1})
                break
        assert (await moderator.demote("lobby", "ada"))["role"] == "listener"
        assert (await moderator.promote("lobby", "ada"))["role"] == "speaker"
        await moderator.remove("lobby", "ada")
        with pytest.raises(roomtone.Removed):
            await ada.wait_closed()


async def test_streams_are_started_and_stopped(tmp_path: Path) -> None:
    """A file of the server's media_dir plays into a room until it is stopped."""
    (tmp_path / "sample.flac").write_bytes(SAMPLE.read_bytes())
    async with serving(media_dir=tmp_path) as server, api(server, ingress=True) as operator:
        started = await operator.start_stream("lobby", "sample.flac", name="radio", loop=True)
        assert [one["id"] for one in await operator.streams("lobby")] == [started["id"]]
        async with joining(server, "ada") as ada:
            track = await ada.next_track(5)
            assert track.name == "radio"
            await operator.stop_stream("lobby", started["id"])
            await until(lambda: track.closed)


async def test_errors_are_problem_documents() -> None:
    """Status, title and detail of RFC 9457; status 0 where nobody answered."""
    async with serving() as server:
        async with api(server, moderate=True) as moderator:
            with pytest.raises(roomtone.ApiError) as missing:
                await moderator.participants("nowhere")
            assert (missing.value.status, missing.value.code) == (404, "unknown_room")
            with pytest.raises(roomtone.ApiError) as refused:
                await moderator.create_room("x")
            assert refused.value.status == 403
        async with roomtone.ServerApi(server.url, "forged") as stranger:
            with pytest.raises(roomtone.ApiError) as stopped:
                await stranger.rooms()
            assert (stopped.value.status, stopped.value.code) == (401, "bad_token")
        gone = roomtone.ServerApi(server.url, "token")
    with pytest.raises(roomtone.ApiError, match="cannot reach") as unreachable:
        await gone.rooms()
    assert (unreachable.value.status, unreachable.value.code) == (0, "")
    assert str(unreachable.value).endswith("/v1/rooms: Connection refused")
    await gone.close()


async def test_any_name_is_reached() -> None:
    """Names that mean something to URLs, routers or shells are names like all others."""
    async with serving() as server, api(server, room_create=True, moderate=True) as rooms:
        for name in ("{room}", "a%2Fb", "a?b#c", "h\u00e9\U0001f389", "%2e%2e", "a\\b", "..;"):
            await rooms.create_room(name)
            assert (await rooms.room(name))["name"] == name
            async with joining(server, "{ada}/../%2F", room=name):
                (one,) = await rooms.participants(name)
                assert (await rooms.mute(name, one["identity"]))["muted"]
            await rooms.delete_room(name)
        assert await rooms.rooms() == []


async def test_what_is_no_roomtone_server_is_told() -> None:
    """A page instead of JSON is an error, whatever its status: never an empty list of rooms."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<h1>It works</h1>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{any:.*}", page)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with roomtone.ServerApi(f"http://127.0.0.1:{runner.addresses[0][1]}", "token") as rooms:
            with pytest.raises(roomtone.ApiError, match="does not answer as a Roomtone server") as wrong:
                await rooms.rooms()
            assert wrong.value.status == 200
    finally:
        await runner.cleanup()
