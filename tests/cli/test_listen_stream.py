"""`roomtone stream` into `roomtone listen`, through a server: three processes and a test."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from roomtone.assets import sample_path
from roomtone.media.ogg import OggOpusReader
from tests.cli.conftest import Ran
from tests.cli.hearing import decoded, located, seconds_of_wav
from tests.cli.processes import environment, finished, started

Command = Callable[..., Ran]


@pytest.fixture
def playing(url: str, tmp_path: Path) -> Callable[[str], subprocess.Popen[str]]:
    """Starts the sample in a room, over and over, and returns once it plays."""

    def play(room: str) -> subprocess.Popen[str]:
        process = started(["stream", str(sample_path()), "--loop", "--room", room, "--url", url, "--json"])
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "progress"
        return process

    return play


def stop(process: subprocess.Popen[str]) -> str:
    """As Ctrl-C does; what it printed since."""
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert (code, err) == (0, "")
    return out


def test_a_wav_holds_what_was_streamed(
    roomtone: Command, url: str, playing: Callable[..., object], tmp_path: Path
) -> None:
    """Decoded, mixed, of the length that was asked for, and the very words."""
    stream = playing("wav")
    path = tmp_path / "heard.wav"
    heard = roomtone("listen", "--room", "wav", "--url", url, "--output", str(path), "--duration", "4", "--json")
    out = stop(stream)
    assert heard.code == 0, heard.err
    summary = json.loads(heard.out.splitlines()[-1])
    assert (summary["event"], summary["output"], summary["lost"]) == ("summary", str(path), 0)
    assert summary["received"] > 150
    assert seconds_of_wav(path) == pytest.approx(summary["seconds"], abs=0.001)
    found = located(decoded(path), decoded(sample_path()))
    assert float(np.median([snr_db for _, snr_db in found])) > 6
    told = json.loads(out.splitlines()[-1])
    assert (told["event"], told["dropped_frames"]) == ("summary", 0)
    assert told["seconds"] > 3.5


def test_an_opus_file_holds_the_packets(
    roomtone: Command, url: str, playing: Callable[..., object], tmp_path: Path
) -> None:
    """Written without decoding; any player can read it."""
    stream = playing("opus")
    path = tmp_path / "heard.opus"
    heard = roomtone("listen", "--room", "opus", "--url", url, "--output", str(path), "--duration", "3")
    stop(stream)
    assert (heard.code, heard.out) == (0, f"{path}\n")
    reader = OggOpusReader()
    packets = reader.feed(path.read_bytes())
    assert len(packets) > 100
    found = located(decoded(path), decoded(sample_path()))
    assert float(np.median([snr_db for _, snr_db in found])) > 6


def test_raw_samples_go_to_standard_output(url: str, playing: Callable[..., object]) -> None:
    """For a pipe into a player: s16le at 48 kHz, and nothing else."""
    stream = playing("raw")
    flags = ["listen", "--room", "raw", "--url", url, "--output", "-", "--duration", "1", "--channels", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "roomtone", *flags], capture_output=True, env=environment(), check=True, timeout=30
    )
    stop(stream)
    samples = np.frombuffer(done.stdout, np.int16).reshape(-1, 2)
    assert len(samples) % 480 == 0
    assert np.abs(samples).max() > 500
    assert np.array_equal(samples[:, 0], samples[:, 1])


def test_a_silent_room_is_a_failure_for_opus_alone(roomtone: Command, url: str, tmp_path: Path) -> None:
    """A WAV of silence is what was heard; an Opus file of no packet is none."""
    opus, wav = tmp_path / "none.opus", tmp_path / "none.wav"
    result = roomtone("listen", "--room", "still", "--url", url, "--output", str(opus), "--duration", "0.5")
    assert (result.code, opus.exists()) == (1, False)
    assert "nothing was heard" in result.error
    result = roomtone("listen", "--room", "still", "--url", url, "--output", str(wav), "--duration", "0.5")
    assert result.code == 0
    with wave.open(str(wav)) as file:
        assert not any(file.readframes(file.getnframes()))


def test_a_stream_ends_with_its_source(roomtone: Command, url: str, tmp_path: Path) -> None:
    """A file that is played once, then PCM from a pipe."""
    short = tmp_path / "short.wav"
    with wave.open(str(short), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(np.full((22_050, 2), 900, np.int16).tobytes())
    once = roomtone("stream", str(short), str(short), "--room", "once", "--url", url, "--music", "--json")
    assert once.code == 0, once.err
    assert json.loads(once.out.splitlines()[-1])["seconds"] == pytest.approx(1.0, abs=0.03)
    piped = subprocess.run(
        [sys.executable, "-m", "roomtone", "stream", "-", "--rate", "16000", "--room", "pipe", "--url", url, "--json"],
        input=b"\x10\x00" * 8_000,
        capture_output=True,
        env=environment(),
        check=True,
        timeout=30,
    )
    assert json.loads(piped.stdout.splitlines()[-1])["seconds"] == pytest.approx(0.5, abs=0.03)


def test_what_cannot_be_streamed_is_told(roomtone: Command, url: str, tmp_path: Path) -> None:
    """Missing, empty, no audio: a failure in one line; a token that may not publish: a refusal."""
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound at all " * 100)
    for name in ("missing.wav", "empty.wav", "text.wav"):
        result = roomtone("stream", str(tmp_path / name), "--room", "r", "--url", url)
        assert (result.code, name in result.error) == (1, True)
    token = roomtone("token", "--dev", "--identity", "x", "--room", "r", "--grant", "no-publish").out.strip()
    refused = roomtone("stream", str(sample_path()), "--room", "r", "--url", url, "--token", token)
    assert (refused.code, "not_permitted" in refused.error) == (3, True)
    wrong = roomtone("listen", "--room", "other", "--url", url, "--token", token)
    assert (wrong.code, "another room" in wrong.error) == (3, True)


def test_an_output_that_cannot_be_written_is_told(roomtone: Command, url: str, tmp_path: Path) -> None:
    """Before anything is heard."""
    result = roomtone("listen", "--room", "r", "--url", url, "--output", str(tmp_path / "none" / "a.wav"))
    assert (result.code, "--output" in result.error) == (2, True)
