from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from roomtone.assets import sample_path
from roomtone.sources.convert import SampleLedger
from roomtone.sources.errors import SourceError
from roomtone.sources.file import MediaFile, open_file
from roomtone.sources.policy import SourcePolicy
from tests.sources.media import Pcm, tone, write_encoded, write_video, write_wav

LOCAL = SourcePolicy.local()


def decode(path: Path | str, channels: int = 1, policy: SourcePolicy = LOCAL) -> tuple[Pcm, int]:
    """All of a file, and how many packets were skipped."""
    media = MediaFile(open_file(str(path), policy), str(path))
    try:
        return np.concatenate(list(media.blocks(48_000, channels, SampleLedger(48_000)))), media.skipped_packets
    finally:
        media.close()


def fault_of(path: Path | str, policy: SourcePolicy = LOCAL) -> SourceError:
    with pytest.raises(SourceError) as caught:
        decode(path, policy=policy)
    assert "\n" not in str(caught.value)
    return caught.value


def scramble(data: bytes, start: int, stop: int) -> bytes:
    """Noise in the middle of a file."""
    return data[:start] + random.Random(1).randbytes(stop - start) + data[stop:]


def test_a_wav_comes_out_as_it_went_in(tmp_path: Path) -> None:
    """48 kHz mono needs no change at all."""
    out, skipped = decode(write_wav(tmp_path / "a.wav", 50_001))
    assert np.array_equal(out, tone(50_001, 48_000))
    assert skipped == 0


@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_at_44100_keeps_its_length_and_sound(tmp_path: Path, channels: int) -> None:
    """Resampled, with the same tone in it at the same level."""
    out, _ = decode(write_wav(tmp_path / "a.wav", 44_101, 44_100, channels=2), channels)
    assert len(out) == 44_101 * 48_000 // 44_100
    mono = out if channels == 1 else out[:, 1]
    assert np.abs(mono[2_000:-2_000].astype(int) - tone(len(out), 48_000)[2_000:-2_000]).max() < 200


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz"),
    [
        ("a.flac", "flac", 44_100),
        ("a.ogg", "libopus", 48_000),
        ("a.mp3", "libmp3lame", 44_100),
        ("a.m4a", "aac", 48_000),
    ],
)
def test_the_usual_formats_are_decoded(tmp_path: Path, name: str, codec: str, rate_hz: int) -> None:
    """Their encoders' padding is taken off where the format tells it: a track has its own length."""
    out, skipped = decode(write_encoded(tmp_path / name, codec, 2 * rate_hz, rate_hz))
    assert skipped == 0
    assert abs(len(out) - 96_000) <= (2_048 if codec == "aac" else 60)
    assert abs(float(np.sqrt(np.mean(out[10_000:80_000].astype(float) ** 2))) - 8_000 / 2**0.5) < 400


def test_the_sample_is_fifteen_seconds_of_speech() -> None:
    """What the demo plays: silent ends, a peak near -3 dBFS."""
    out, _ = decode(sample_path())
    assert 14 * 48_000 < len(out) < 17 * 48_000
    assert np.abs(out[:9_000]).max() < 50
    assert np.abs(out[-9_000:]).max() < 50
    assert -3.5 < 20 * np.log10(np.abs(out.astype(float)).max() / 32_768) < -2.5


def test_broken_packets_are_skipped_and_the_rest_is_played(tmp_path: Path) -> None:
    """Noise in the middle costs its own length, not the file."""
    whole = write_encoded(tmp_path / "a.mp3", "libmp3lame", 20 * 44_100, 44_100)
    data = whole.read_bytes()
    (tmp_path / "b.mp3").write_bytes(scramble(data, len(data) // 2, len(data) // 2 + 8_000))
    out, skipped = decode(tmp_path / "b.mp3")
    assert skipped > 0
    assert 18 * 48_000 < len(out) < 20.5 * 48_000


def test_a_truncated_file_is_played_as_far_as_it_goes(tmp_path: Path) -> None:
    """Half a FLAC file is about half as long."""
    data = sample_path().read_bytes()
    (tmp_path / "half.flac").write_bytes(data[: len(data) // 2])
    out, _ = decode(tmp_path / "half.flac")
    assert 5 * 48_000 < len(out) < 10 * 48_000


def test_what_is_not_audio_is_told_apart(tmp_path: Path) -> None:
    """Each gets its own fault, in one line."""
    (tmp_path / "empty.wav").touch()
    (tmp_path / "noise.wav").write_bytes(random.Random(2).randbytes(50_000))
    (tmp_path / "page.html").write_text("<!doctype html><title>Not found</title>" * 50)
    (tmp_path / "head.wav").write_bytes(write_wav(tmp_path / "a.wav", 100).read_bytes()[:44])
    (tmp_path / "cut.m4a").write_bytes(write_encoded(tmp_path / "a.m4a", "aac", 48_000).read_bytes()[:3_000])
    os.mkfifo(tmp_path / "pipe")
    faults = {
        "missing.wav": "missing",
        "a.wav/b.wav": "missing",
        ".": "directory",
        "empty.wav": "empty",
        "noise.wav": "not_audio",
        "page.html": "not_audio",
        "head.wav": "not_audio",
        "cut.m4a": "not_audio",
        "pipe": "not_regular",
    }
    assert {name: fault_of(tmp_path / name).fault for name in faults} == faults
    assert fault_of("/dev/zero").fault == "not_regular"


def test_a_video_without_sound_has_no_audio(tmp_path: Path) -> None:
    """Said so, rather than 'not audio'."""
    assert fault_of(write_video(tmp_path / "v.mp4")).fault == "no_audio"


def test_an_unreadable_file_is_a_matter_of_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operating system's refusal, which the tests' own user might not meet, is passed on as such."""
    path = write_wav(tmp_path / "a.wav", 100)
    path.chmod(0)

    def refuse(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert fault_of(path).fault == "permission"


M3U8 = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{path}\n#EXT-X-ENDLIST\n"
SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 5004 RTP/AVP 97\r\na=rtpmap:97 opus/48000/2\r\n"
)
DASH = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>'
    '<AdaptationSet mimeType="audio/mp4"><Representation id="0" bandwidth="1">'
    "<BaseURL>file://{path}</BaseURL></Representation></AdaptationSet></Period></MPD>"
)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", M3U8),
        ("list.ffconcat", "ffconcat version 1.0\nfile {path}\n"),
        ("list.sdp", SDP),
        ("list.mpd", DASH),
    ],
)
def test_a_file_that_names_other_places_opens_none_of_them(tmp_path: Path, name: str, text: str) -> None:
    """Playlists and session descriptions cannot be used to read another file or to open a socket."""
    secret = write_wav(tmp_path / "secret.wav", 48_000)
    (tmp_path / name).write_text(text.format(path=secret))
    # A file object with its name, by which FFmpeg goes for some formats.
    with open(tmp_path / name, "rb") as stream, pytest.raises(SourceError) as caught:
        list(MediaFile(stream, name).blocks(48_000, 1, SampleLedger(48_000)))
    assert caught.value.fault in ("refused", "not_audio")


def test_a_link_put_in_the_way_after_the_check_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the path and the opening are two moments; what was opened is looked at again."""
    media, private = tmp_path / "media", tmp_path / "private"
    (media / "a").mkdir(parents=True)
    private.mkdir()
    write_wav(media / "a" / "x.wav", 100)
    write_wav(private / "x.wav", 100)
    policy = SourcePolicy(media_dir=media)
    real_open = os.open

    def swap_and_open(path: str, flags: int) -> int:
        (media / "a").rename(media / "b")
        (media / "a").symlink_to(private)
        return real_open(path, flags)

    monkeypatch.setattr(os, "open", swap_and_open)
    assert fault_of("a/x.wav", policy).fault == "refused"
