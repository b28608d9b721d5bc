"""The examples run as they stand, each in a process of its own, against one server."""

from __future__ import annotations

import asyncio
import sys
import wave
from pathlib import Path

import numpy as np

import roomtone
from roomtone.server.app import Server

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "src" / "roomtone" / "assets" / "sample.flac"


async def start(name: str, server: Server, identity: str, *arguments: str) -> asyncio.subprocess.Process:
    """One example, seated in the lobby, its warnings errors."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(ROOT / "examples" / f"{name}.py")),
        *(server.url, server.token(identity, room="lobby"), *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def finish(process: asyncio.subprocess.Process, said: bytes = b"") -> str:
    """What it printed, once it ended well."""
    async with asyncio.timeout(30):
        out, err = await process.communicate(said)
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode()


async def test_an_iterator_is_broadcast_and_recorded(tmp_path: Path) -> None:
    """One example plays a melody, another records the room: the notes are in the file."""
    heard = tmp_path / "heard.wav"
    async with Server(dev=True, port=0) as server:
        melody = await start("broadcast_iterator", server, "bells", "--seconds", "60")
        async with roomtone.connect(server, server.token("usher", room="lobby")) as usher:
            await usher.next_track(20)
        printed = await finish(await start("listen_to_wav", server, "ear", str(heard), "2"))
        assert "2 s of lobby" in printed
        melody.kill()
        await melody.communicate()
    with wave.open(str(heard)) as file:
        assert (file.getframerate(), file.getnframes()) == (48_000, 96_000)
        pcm = np.frombuffer(file.readframes(96_000), "<i2").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(pcm))
    for note_hz in (262, 330, 392, 523):
        around = spectrum[round(note_hz * 2 - 6) : round(note_hz * 2 + 6)].max()
        assert around > 20 * np.median(spectrum[200:2_000])


async def test_a_file_is_streamed(tmp_path: Path) -> None:
    """It plays to its end and stops; a file that is not there is one line."""
    short = tmp_path / "short.wav"
    with wave.open(str(short), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(bytes(44_100))
    async with Server(dev=True, port=0) as server:
        assert "25 frames sent" in await finish(await start("stream_file", server, "radio", str(short)))
        missing = await start("stream_file", server, "radio", str(tmp_path / "missing.mp3"))
        _, err = await missing.communicate()
        assert missing.returncode == 1
        assert err.count(b"\n") == 1


async def test_voice_chat_is_a_chat() -> None:
    """Two of them in a room, speaking from files: each is told of the other, mutes, and leaves."""
    async with Server(dev=True, port=0) as server:
        async with roomtone.connect(server, server.token("host", room="lobby")) as host:
            ada = await start("voice_chat", server, "ada", "--say", str(SAMPLE), "--silent")
            track = await host.next_track(20)
            muted = host.wait_for(roomtone.TrackUpdated, timeout=20)
            assert ada.stdin is not None
            ada.stdin.write(b"m\n")
            await ada.stdin.drain()
            assert (await muted).track.muted
            assert track.identity == "ada"
            printed = await finish(ada, b"q\n")
        assert "in lobby: ada, host" in printed
        assert "muted" in printed
