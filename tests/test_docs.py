"""The documentation's Python runs, and its tables say what the code says.

A block behind `<!-- runnable -->` is run at the top level of a coroutine, beside a server and a room. With
file="name.py" it is a program: run in a process of its own, with a token as its first argument.
"""

from __future__ import annotations

import ast
import asyncio
import re
import sys
import wave
from collections.abc import Coroutine
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import roomtone
from roomtone.client.cadence import MAX_LATE_S
from roomtone.client.events import EVENT_BOUND
from roomtone.client.local_track import QUEUE_MS
from roomtone.client.remote_track import PACKET_BOUND
from roomtone.client.tracks import NEW_TRACK_BOUND
from roomtone.client.uplink import FRESH_S
from roomtone.media.jitter_queue import MAX_PACKETS
from roomtone.participants.broadcaster import READY_MS
from roomtone.participants.websocket_lag import MAX_NOTES
from roomtone.protocol.client import MAX_PENDING_COMMANDS
from roomtone.protocol.server import MAX_REFUSALS
from roomtone.room.options import RoomOptions
from roomtone.room.outbox import AUDIO_LIMIT_MS, CONTROL_LIMIT_BYTES, CONTROL_LIMIT_EVENTS
from roomtone.server.spreader import MAX_PENDING_PACKETS
from roomtone.server.streams import KEPT_AFTER_END
from roomtone.sources.pcm import MAX_WAITING_CHUNKS
from roomtone.sources.reader import MAX_WARNINGS, SourceOptions

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SAMPLE = ROOT / "src" / "roomtone" / "assets" / "sample.flac"
DEADLINE_S = 30.0
DOCUMENTED_URL = "http://127.0.0.1:7800"

_BLOCK = re.compile(r"^<!-- runnable(?P<options>[^>]*)-->\n```python\n(?P<code>.*?)```", re.DOTALL | re.MULTILINE)
_OPTION = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Block:
    """One runnable block. options: those in its comment."""

    page: str
    line: int
    code: str
    options: dict[str, str]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(path: Path) -> list[Block]:
    """The runnable blocks of a page."""
    text = path.read_text(encoding="utf-8")
    page = str(path.relative_to(ROOT))
    return [
        Block(page, text[: match.start("code")].count("\n") + 1, match["code"], dict(_OPTION.findall(match["options"])))
        for match in _BLOCK.finditer(text)
    ]


ALL = [block for path in sorted(DOCS.rglob("*.md")) for block in blocks(path)]
PROGRAMS = [block for block in ALL if "file" in block.options]
SNIPPETS = [block for block in ALL if "file" not in block.options]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory with a song of a third of a second, in which the test stands."""
    t = np.arange(16_000) / 48_000
    with wave.open(str(tmp_path / "song.mp3"), "wb") as file:  # what it is, its bytes tell
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes((np.sin(2 * np.pi * 440 * t) * 8_000).astype("<i2").tobytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", SNIPPETS, ids=str)
async def test_snippet_runs(block: Block, here: Path) -> None:
    """With `server`, `url`, `token(identity)` and `room`, in which bo speaks, it raises nothing."""
    async with roomtone.Server(dev=True, port=0, drain_timeout_s=0) as server:

        def token(identity: str) -> str:
            return server.token(identity, room="lobby", grants={"moderate": identity == "ada"})

        async with (
            roomtone.connect(server.url, token("bo")) as bo,
            roomtone.connect(server.url, token("ada")) as room,
            asyncio.timeout(DEADLINE_S),
        ):
            await bo.publish(str(SAMPLE), name="voice", loop=True)
            names: dict[str, Any] = {
                "asyncio": asyncio,
                "roomtone": roomtone,
                "server": server,
                "url": server.url,
                "token": token,
                "room": room,
            }
            code = compile(block.code, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            result = eval(code, names)
            if isinstance(result, Coroutine):
                await result


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
async def test_program_runs(block: Block, here: Path) -> None:
    """Saved under its name and run against a server with a speaker in its room, it ends without a word of woe."""
    async with roomtone.Server(dev=True, port=0, drain_timeout_s=0) as server:
        place = block.options.get("room", "lobby")
        program = here / block.options["file"]
        code = block.code.replace(DOCUMENTED_URL, server.url).replace("Server(dev=True)", "Server(dev=True, port=0)")
        program.write_text(code, encoding="utf-8")
        arguments = [server.token("reader", room=place), *block.options.get("arguments", "").split()]
        async with roomtone.connect(server.url, server.token("bo", room=place)) as bo, asyncio.timeout(DEADLINE_S):
            await bo.publish(str(SAMPLE), name="voice", loop=True)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-W", "error", str(program), *arguments),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
        assert (process.returncode, err.decode()) == (0, "")
        assert block.options.get("prints", "") in out.decode()


def test_there_is_something_to_run() -> None:
    """The pattern above still finds what the pages hold."""
    texts = [path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")]
    assert len(ALL) == sum(len(re.findall(r"^<!-- runnable", text, flags=re.MULTILINE)) for text in texts)
    assert {block.page for block in PROGRAMS} >= {"docs/index.md", "docs/tutorial.md"}


def test_jitter_settings_are_the_code_s() -> None:
    """The table of settings has all fields of JitterSettings, in order, with both presets' values."""
    page = (DOCS / "topics" / "jitter-buffer.md").read_text(encoding="utf-8")
    table = page.split("| setting | `WEBSOCKET` | `LOSSY` | meaning |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \| (\S+) \|", table, flags=re.MULTILINE)
    code = [
        (field.name, _shown(getattr(roomtone.WEBSOCKET, field.name)), _shown(getattr(roomtone.LOSSY, field.name)))
        for field in fields(roomtone.JitterSettings)
    ]
    assert rows == code


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_every_link_of_the_readme_leads_somewhere() -> None:
    """Files that README.md names exist."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [link for link in links if link and "://" not in link]
    assert local
    assert [link for link in local if not (ROOT / link).exists()] == []


BOUNDS = {
    "outbox of a listener, audio": f"{AUDIO_LIMIT_MS:,} ms",
    "outbox of a listener, control": f"{CONTROL_LIMIT_EVENTS} messages or {CONTROL_LIMIT_BYTES // 1024} KiB",
    "slices of large rooms": f"{MAX_PENDING_PACKETS} packets",
    "a room's event log": f"{RoomOptions().event_log_size:,} events",
    "answers to failed commands": f"{MAX_REFUSALS} a session",
    "notes of what was sent when": f"{MAX_NOTES} a connection",
    "streams that ended": f"{KEPT_AFTER_END} ",
    "encoded frames of a source": f"{SourceOptions().ahead_ms:,.0f} ms",
    "chunks of an asynchronous iterator": f"{MAX_WAITING_CHUNKS} chunks",
    "pacer of a broadcaster": f"{READY_MS} ms",
    "warnings of a source": f"{MAX_WARNINGS} ",
    "pacer of a local track": f"{QUEUE_MS} ms",
    "outgoing audio": f"{FRESH_S * 1000:.0f} ms",
    "unanswered commands": f"{MAX_PENDING_COMMANDS} ",
    "jitter buffer of": f"{roomtone.WEBSOCKET.max_buffer_ms:,.0f} ms (`max_buffer_ms`) and {MAX_PACKETS:,} packets",
    "a late consumer": f"{MAX_LATE_S * 1000:.0f} ms",
    "`packets()`": f"{PACKET_BOUND} packets",
    "`events()`": f"{EVENT_BOUND:,} events",
    "tracks that `next_track()`": f"{NEW_TRACK_BOUND:,} ",
}


@pytest.mark.parametrize("queue", BOUNDS)
def test_queue_bounds_are_the_code_s(queue: str) -> None:
    """The row of each queue in the architecture's table tells the bound that the code has."""
    page = (DOCS / "topics" / "architecture.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith(f"| {queue}")]
    assert len(rows) == 1
    assert rows[0].split("|")[2].lstrip().startswith(BOUNDS[queue])
