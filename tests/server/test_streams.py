"""What the server plays into rooms."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path
from typing import Any

import pytest

from roomtone.assets import sample_path
from tests.server.http import Api, Reply, calling, is_problem
from tests.wire import eventually

PATH = "/v1/rooms/lobby/streams"


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """A media directory with speech, a short tone, an empty file and one that is no audio."""
    shutil.copy(sample_path(), tmp_path / "speech.flac")
    with wave.open(str(tmp_path / "short.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes(b"\x10\x20" * 800)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("these are words, not sound\n" * 50)
    return tmp_path


async def start(api: Api, source: Any, **options: Any) -> Reply:
    """Start a stream in the room "lobby"."""
    return await api("POST", PATH, json={"source": source, **options})


async def test_a_file_is_played_into_a_room(media: Path) -> None:
    """The room is made, the stream is a participant in it with a track, and it is told what plays."""
    async with calling(media_dir=media) as api:
        made = await start(api, "speech.flac", name="Radio", loop=True, bitrate_bps=24_000, content="music")
        assert made.status == 201
        info = made.json
        assert made.headers["Location"] == f"{PATH}/{info['id']}"
        assert (info["state"], info["error"], info["source"]) == ("playing", "", ["speech.flac"])
        assert (info["name"], info["loop"], info["bitrate_bps"], info["content"]) == ("Radio", True, 24_000, "music")
        room = api.server.rooms.get("lobby")
        assert room is not None
        assert info["identity"] == f"stream:{info['id']}"
        assert [(one.identity, one.name, one.kind) for one in room.participants] == [
            (info["identity"], "Radio", "broadcaster")
        ]
        await eventually(lambda: room.statistics.packets_in > 5, "playing")
        seen = (await api("GET", f"{PATH}/{info['id']}")).json
        assert seen["seconds_played"] > 0
        assert [one["id"] for one in (await api("GET", PATH)).json["streams"]] == [info["id"]]


async def test_a_stream_is_stopped(media: Path) -> None:
    """Its participant leaves; it is still told of, and cannot be stopped twice."""
    async with calling(media_dir=media) as api:
        info = (await start(api, "speech.flac")).json
        path = f"{PATH}/{info['id']}"
        assert (await api("DELETE", path)).status == 204
        room = api.server.rooms.get("lobby")
        assert room is not None
        assert len(room) == 0
        assert (await api("GET", path)).json["state"] == "stopped"
        is_problem(await api("DELETE", path), 404, "unknown_stream")
        is_problem(await api("GET", PATH + "/none"), 404, "unknown_stream")
        is_problem(await api("GET", path.replace("lobby", "other")), 404, "unknown_stream")


async def test_a_stream_ends_by_itself(media: Path) -> None:
    """At the end of the last item it leaves the room and is told as finished."""
    async with calling(media_dir=media) as api:
        info = (await start(api, ["short.wav", "short.wav"])).json
        await eventually(lambda: api.server.streams.running == 0, "the end")
        seen = (await api("GET", f"{PATH}/{info['id']}")).json
        assert (seen["state"], seen["error"]) == ("finished", "")
        assert seen["seconds_played"] == pytest.approx(0.2, abs=0.021)


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("none.wav", "source_missing"),
        ("empty.wav", "source_empty"),
        ("text.mp3", "source_not_audio"),
        (".", "source_refused"),
        ("../secret.wav", "source_refused"),
        ("/etc/passwd", "source_refused"),
        ("-", "source_refused"),
        ("http://127.0.0.1/a.mp3", "source_refused"),
        ("http://10.0.0.1/a.mp3", "source_refused"),
        ("http://169.254.169.254/latest", "source_refused"),
        ("http://[::1]/a.mp3", "source_refused"),
        ("file:///etc/passwd", "source_refused"),
        ("rtmp://example.org/a", "source_refused"),
        ("concat:a|b", "source_missing"),
    ],
)
async def test_what_cannot_be_played_is_a_422(media: Path, source: str, code: str) -> None:
    """The problem's code says what is wrong with the source; nobody is left in the room."""
    async with calling(media_dir=media) as api:
        is_problem(await start(api, source), 422, code)
        room = api.server.rooms.get("lobby")
        assert room is None or len(room) == 0
        assert api.server.streams.running == 0


async def test_no_files_without_a_media_directory() -> None:
    """A server that was not told of one plays none."""
    async with calling() as api:
        is_problem(await start(api, str(sample_path())), 422, "source_refused")


@pytest.mark.parametrize(
    "body",
    [{}, {"source": ""}, {"source": []}, {"source": 5}, {"source": "a", "bitrate_bps": 5}, {"source": "a", "x": 1}],
)
async def test_bad_bodies_are_refused(body: dict[str, Any]) -> None:
    """Types and ranges are checked before anything is opened."""
    async with calling() as api:
        is_problem(await api("POST", PATH, json=body), 422, "invalid")


async def test_the_limit_on_streams(media: Path) -> None:
    """One more than max_streams is a 503; after one has stopped there is room again."""
    async with calling(media_dir=media, max_streams=1) as api:
        first = (await start(api, "speech.flac")).json
        is_problem(await start(api, "speech.flac"), 503, "limit_reached")
        await api("DELETE", f"{PATH}/{first['id']}")
        assert (await start(api, "speech.flac")).status == 201


async def test_rooms_are_made_only_where_joining_makes_them(media: Path) -> None:
    """With auto_create_rooms off, a stream needs a room that is there, of a proper name."""
    async with calling(media_dir=media, auto_create_rooms=False) as api:
        is_problem(await start(api, "speech.flac"), 409, "invalid")
        await api("POST", "/v1/rooms", json={"name": "lobby"})
        assert (await start(api, "speech.flac")).status == 201
    async with calling(media_dir=media) as api:
        bad = await api("POST", "/v1/rooms/%20a/streams", json={"source": "speech.flac"})
        is_problem(bad, 422, "invalid")


async def test_streams_need_ingress_and_the_room(media: Path) -> None:
    """A token for another room plays nothing here."""
    async with calling(media_dir=media) as api:
        mine = api.granted(room="lobby", ingress=True)
        assert (await start(mine, "speech.flac")).status == 201
        is_problem(await start(api.granted(room="other", ingress=True), "speech.flac"), 403, "wrong_room")
        is_problem(await start(api.granted(moderate=True), "speech.flac"), 403, "grant_missing")


async def test_deleting_a_room_ends_its_streams(media: Path) -> None:
    """And those of other rooms play on."""
    async with calling(media_dir=media) as api:
        await start(api, "speech.flac", loop=True)
        await api("POST", "/v1/rooms/other/streams", json={"source": "speech.flac", "loop": True})
        assert (await api("DELETE", "/v1/rooms/lobby")).status == 204
        await eventually(lambda: api.server.streams.running == 1, "the end of one")
        assert [info.room for info in api.server.streams.list() if info.state == "playing"] == ["other"]
        assert (await api("GET", PATH)).json["streams"][0]["state"] == "stopped"


async def test_a_removed_stream_ends(media: Path) -> None:
    """A moderator removes it as any participant."""
    async with calling(media_dir=media) as api:
        info = (await start(api, "speech.flac", loop=True)).json
        await api("DELETE", f"/v1/rooms/lobby/participants/{info['identity']}")
        await eventually(lambda: api.server.streams.running == 0, "the end")
        assert (await api("GET", f"{PATH}/{info['id']}")).json["state"] == "stopped"


async def test_a_stopping_server_ends_its_streams(media: Path) -> None:
    """None is left running, whatever it was doing."""
    async with calling(media_dir=media) as api:
        await start(api, "speech.flac", loop=True)
        streams = api.server.streams
        await api.server.stop()
        assert streams.running == 0
