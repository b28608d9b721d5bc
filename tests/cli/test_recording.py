"""Files of what was heard."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from roomtone.cli.exits import CliError, ExitCode
from roomtone.cli.recording import OpusFile, WavFile
from roomtone.media.opus import OpusEncoder
from roomtone.media.packet import Packet
from tests.cli.hearing import RATE_HZ, decoded

FRAME = 960


def tone(count: int, *, track: int = 0, first: int = 0) -> list[Packet]:
    """20 ms frames of a tone; timestamps from `first` on, wrapping."""
    encoder = OpusEncoder(48_000, 1)
    phase = 2 * np.pi * 440 * np.arange(count * FRAME) / 48_000
    pcm = (np.sin(phase) * 9_000).astype(np.int16).reshape(count, FRAME)
    return [
        Packet(track, number, (first + number * FRAME) % 2**32, encoder.encode(frame))
        for number, frame in enumerate(pcm)
    ]


def written(path: Path, packets: list[tuple[Packet, float]]) -> OpusFile:
    """Packets with their times of arrival, as a complete file."""
    with OpusFile(path, 1) as file:
        for packet, now in packets:
            file.write(packet, now)
    return file


def loud(path: Path, start_s: float, end_s: float) -> bool:
    """Whether there is sound all the way from one second to another."""
    part = decoded(path)[int(start_s * RATE_HZ) : int(end_s * RATE_HZ)]
    pieces = part[: part.size // 160 * 160].reshape(-1, 160)
    return bool(np.all(np.abs(pieces).max(axis=1) > 0.02))


def test_packets_in_order_are_as_long_as_they_were(tmp_path: Path) -> None:
    """The time stamps' wrap at 2**32 is no gap."""
    path = tmp_path / "a.opus"
    packets = tone(50, first=2**32 - 10 * FRAME)
    file = written(path, [(packet, 5.0 + n * 0.02) for n, packet in enumerate(packets)])
    assert (file.packets, file.garbage, file.seconds) == (50, 0, pytest.approx(1.0))
    assert decoded(path).size / RATE_HZ == pytest.approx(1.0, abs=0.02)
    assert loud(path, 0.1, 0.9)


def test_a_pause_is_silence_of_its_length(tmp_path: Path) -> None:
    """One second is missing: what follows is where it belongs."""
    path = tmp_path / "a.opus"
    before, after = tone(25), tone(25, first=75 * FRAME)
    written(path, [(packet, 0.0) for packet in before + after])
    assert decoded(path).size / RATE_HZ == pytest.approx(2.0, abs=0.02)
    assert loud(path, 0.1, 0.45)
    assert loud(path, 1.6, 1.9)
    assert np.abs(decoded(path)[int(0.8 * RATE_HZ) : int(1.4 * RATE_HZ)]).max() < 0.001


def test_late_and_repeated_packets_are_left_out(tmp_path: Path) -> None:
    """Time only goes forward."""
    packets = tone(10)
    order = [packets[0], packets[1], packets[1], packets[0], *packets[2:]]
    file = written(tmp_path / "a.opus", [(packet, 0.0) for packet in order])
    assert (file.packets, file.seconds) == (10, pytest.approx(0.2))


def test_garbage_is_left_out_and_counted(tmp_path: Path) -> None:
    """A payload that is no Opus packet leaves a gap as a lost one does."""
    path = tmp_path / "a.opus"
    packets = tone(10)
    packets[4] = Packet(0, 4, 4 * FRAME, b"\x03\xff\xff")
    file = written(path, [(packet, 0.0) for packet in packets])
    assert (file.packets, file.garbage, file.seconds) == (9, 1, pytest.approx(0.2))
    assert decoded(path).size / RATE_HZ == pytest.approx(0.2, abs=0.02)


def test_another_track_goes_on_where_the_clock_is(tmp_path: Path) -> None:
    """Its time stamps have nothing to do with the first track's."""
    path = tmp_path / "a.opus"
    first = [(packet, n * 0.02) for n, packet in enumerate(tone(25))]
    second = [(packet, 1.5 + n * 0.02) for n, packet in enumerate(tone(25, track=1, first=123_456_789))]
    file = written(path, first + second)
    assert file.seconds == pytest.approx(2.0, abs=0.01)
    assert loud(path, 1.6, 1.9)


def test_a_jump_of_the_senders_clock_is_no_pause(tmp_path: Path) -> None:
    """More than an hour between two packets is nothing to fill with silence."""
    packets = tone(5) + tone(5, first=2 * 3_600 * 48_000)
    file = written(tmp_path / "a.opus", [(packet, 0.0) for packet in packets])
    assert file.packets == 10
    assert file.seconds < 1


def test_a_file_closed_twice_is_closed(tmp_path: Path) -> None:
    """And one without a packet is still a proper file."""
    path = tmp_path / "a.opus"
    file = written(path, [])
    file.close()
    assert path.read_bytes().startswith(b"OggS")


def test_a_wav_holds_the_samples(tmp_path: Path) -> None:
    """Stereo, interleaved."""
    path = tmp_path / "a.wav"
    pcm = np.arange(20, dtype=np.int16).reshape(10, 2)
    file = WavFile(path, 2)
    file.write(pcm)
    file.write(pcm)
    file.close()
    with wave.open(str(path)) as read:
        assert (read.getnchannels(), read.getframerate(), read.getnframes()) == (2, 48_000, 20)
        assert read.readframes(20) == pcm.tobytes() * 2


@pytest.mark.parametrize("kind", [WavFile, OpusFile])
def test_where_nothing_can_be_written(tmp_path: Path, kind: type[WavFile] | type[OpusFile]) -> None:
    """A directory is no file."""
    with pytest.raises(CliError, match="cannot be written") as raised:
        kind(tmp_path, 1)
    assert raised.value.code == ExitCode.USAGE


def test_a_wav_is_playable_before_it_is_closed(tmp_path: Path) -> None:
    """A crash costs a second at most."""
    path = tmp_path / "a.wav"
    file = WavFile(path, 1)
    for _ in range(120):
        file.write(np.ones(480, np.int16))
    with wave.open(str(path)) as read:
        assert read.getnframes() == 48_000
    file.close()


def test_a_full_wav_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is in it stays readable."""
    monkeypatch.setattr("roomtone.cli.recording.MAX_WAV_BYTES", 1_000)
    path = tmp_path / "a.wav"
    file = WavFile(path, 1)
    file.write(np.ones(480, np.int16))
    with pytest.raises(CliError, match="full"):
        file.write(np.ones(480, np.int16))
    file.close()
    with wave.open(str(path)) as read:
        assert read.getnframes() == 480


def test_a_full_disk_is_told_of() -> None:
    """/dev/full takes nothing, neither samples nor a header."""
    file = WavFile(Path("/dev/full"), 1)
    with pytest.raises(CliError, match="/dev/full cannot be written any further"):
        file.write(np.ones(480, np.int16))
    with pytest.raises(CliError, match="/dev/full"):
        file.close()
    with pytest.raises(CliError, match="/dev/full cannot be written any further"):
        OpusFile(Path("/dev/full"), 1)
