from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from roomtone.assets import sample_path
from roomtone.media.codec import make_decoder
from roomtone.media.packet import Codec
from roomtone.sources.errors import SourceError
from roomtone.sources.pcm import PcmFormat
from roomtone.sources.policy import SourcePolicy
from roomtone.sources.reader import EncodedFrame, EncodedSource, SourceOptions, open_source
from roomtone.sources.spec import SourceSpec, describe
from tests.sources.media import tone, write_wav
from tests.sources.web import LOOPBACK_ONE, serving

LOCAL = SourcePolicy.local()


async def read(
    spec: SourceSpec, options: SourceOptions | None = None, policy: SourcePolicy = LOCAL
) -> list[EncodedFrame]:
    async with open_source(spec, policy, options) as source:
        return [frame async for frame in source]


async def fault_of(spec: SourceSpec, policy: SourcePolicy = LOCAL) -> str:
    with pytest.raises(SourceError) as caught:
        await read(spec, policy=policy)
    assert "\n" not in str(caught.value)
    return caught.value.fault


def worker_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "roomtone source"]


async def test_a_file_becomes_frames_that_decode_to_it(tmp_path: Path) -> None:
    """The tone that went in comes out, at its level and length, in frames of 20 ms."""
    frames = await read(write_wav(tmp_path / "a.wav", 96_000))
    assert len(frames) == 100
    assert {frame.duration_ticks for frame in frames} == {960}
    assert {frame.level for frame in frames} == {15}
    assert all(frame.voice for frame in frames)
    decoder = make_decoder(Codec.OPUS, 1, 48_000)
    out = np.concatenate([decoder.decode(frame.payload) for frame in frames])
    error = out[10_312:90_312].astype(float) - tone(96_000, 48_000)[10_000:90_000]
    assert 20 * np.log10(np.std(error) / (8_000 / 2**0.5)) < -20


@pytest.mark.parametrize(
    ("codec", "frame_ms", "ticks", "payload_bytes"),
    [("pcm_48k", 10, 480, 1_920), ("pcm_16k", 20, 960, 1_280), ("pcmu", 60, 2_880, 960), ("pcma", 2.5, 120, 40)],
)
async def test_other_codecs(tmp_path: Path, codec: str, frame_ms: float, ticks: int, payload_bytes: int) -> None:
    """Of the sizes that their rates give; timestamps always count 48 kHz ticks."""
    path = write_wav(tmp_path / "a.wav", 48_000, channels=2)
    frames = await read(path, SourceOptions(codec=codec, frame_ms=frame_ms))
    assert {frame.duration_ticks for frame in frames} == {ticks}
    assert {len(frame.payload) for frame in frames} == {payload_bytes}
    assert sum(frame.duration_ticks for frame in frames) - 48_000 in range(ticks)


async def test_channels_follow_the_source_unless_told(tmp_path: Path) -> None:
    """Mono stays mono, stereo stereo; either can be asked for."""
    for channels in (1, 2):
        path = write_wav(tmp_path / "a.wav", 4_800, channels=channels)
        for asked in (None, 1, 2):
            async with EncodedSource(path, LOCAL, SourceOptions(channels=asked)) as source:
                assert source.channels == (asked or channels)
                assert source.silence.level == 127


async def test_a_looped_playlist_adds_up_to_the_sample(tmp_path: Path) -> None:
    """Seven files of odd lengths at 44.1 kHz, many times over: the sum is exact but for the last frame."""
    lengths = [1_237, 44_100, 999, 7, 22_051, 30_001, 441]
    paths = [write_wav(tmp_path / f"{index}.wav", length, 44_100) for index, length in enumerate(lengths)]
    frames = await read(paths, SourceOptions(loop=25, codec="pcm_48k", ahead_ms=10_000))
    exact = Fraction(sum(lengths) * 25 * 48_000, 44_100)
    assert 0 <= sum(frame.duration_ticks for frame in frames) - exact < 960


async def test_the_thread_waits_when_nobody_takes(tmp_path: Path) -> None:
    """An endless source runs `ahead_ms` ahead, and on as frames are taken."""
    path = write_wav(tmp_path / "a.wav", 48_000)
    async with EncodedSource(path, LOCAL, SourceOptions(loop=True, ahead_ms=200)) as source:
        taken = 0
        while taken < 500:
            assert len(source._queue) <= 10
            assert await source.get() is not None
            taken += 1
            taken += len(source.take(4))
        statistics = source.statistics
        assert statistics.queued <= 10
        assert statistics.frames <= taken + 11
        assert statistics.loops >= 9


async def test_the_bitrate_changes_while_it_plays(tmp_path: Path) -> None:
    """From the next encoded frame on, and never beyond what Opus can do."""
    rng = np.random.default_rng(1)
    noise = rng.integers(-8_000, 8_000, 48_000).astype(np.int16)

    def chunks() -> Iterator[np.ndarray]:
        while True:
            yield noise

    async with EncodedSource(chunks(), LOCAL, SourceOptions(bitrate_bps=96_000, ahead_ms=100)) as source:
        before = [await source.get() for _ in range(50)]
        source.set_bitrate(16_000)
        for _ in range(20):
            await source.get()
        after = [await source.get() for _ in range(50)]
        source.set_bitrate(1)
        assert source.bitrate_bps == 6_000
    sizes = [sum(len(frame.payload) for frame in frames if frame) for frames in (before, after)]
    assert sizes[1] < sizes[0] / 3


async def test_live_iterators_of_both_kinds() -> None:
    """PCM from a callable's generator or from a coroutine's, in the format that the options give."""

    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield tone(160, 8_000).tobytes()
            await asyncio.sleep(0)

    options = SourceOptions(pcm=PcmFormat(8_000, 1), channels=1)
    assert len(await read(slowly(), options)) == 10
    assert len(await read((tone(160, 8_000) for _ in range(10)), options)) == 10
    assert len(await read(tone(1_600, 8_000), options)) == 10


async def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raw PCM from "-", for those whose policy lets them."""
    reading, writing = os.pipe()
    os.write(writing, tone(9_600, 48_000).tobytes())
    os.close(writing)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert len(await read("-")) == 10
    assert await fault_of("-", SourcePolicy()) == "refused"


async def test_what_cannot_be_opened_is_told_at_the_start(tmp_path: Path) -> None:
    """By `start`, with nothing left running."""
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.txt").write_text("no audio " * 100)
    assert await fault_of(tmp_path / "missing.wav") == "missing"
    assert await fault_of(tmp_path) == "directory"
    assert await fault_of(tmp_path / "empty.wav") == "empty"
    assert await fault_of(tmp_path / "text.txt") == "not_audio"
    assert await fault_of([]) == "empty"
    assert await fault_of(["-"]) == "refused"
    assert await fault_of("file:///etc/passwd") == "refused"
    assert await fault_of(sample_path(), SourcePolicy()) == "refused"
    assert await fault_of("http://127.0.0.1/x", SourcePolicy()) == "refused"
    assert not worker_threads()


async def test_settings_are_checked() -> None:
    """In the constructor, by name."""
    for wrong in (
        {"codec": "mp3"},
        {"channels": 3},
        {"frame_ms": 15},
        {"content": "noise"},
        {"bitrate_bps": 1},
        {"loop": 0},
        {"ahead_ms": 0},
        {"complexity": 11},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            SourceOptions(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="looped"):
        EncodedSource(iter([b""]), LOCAL, SourceOptions(loop=True))
    with pytest.raises(TypeError, match="a source is"):
        EncodedSource(5, LOCAL)  # type: ignore[arg-type]


def test_sources_are_described_in_a_line() -> None:
    """Without the secrets of a URL's query."""
    assert describe("-") == "standard input"
    assert describe(Path("a.mp3")) == "a.mp3"
    assert describe("https://x.example/a?token=secret") == "https://x.example/a"
    assert describe(["a", "b"]) == "playlist of 2 items"
    assert describe(["a"]) == "a"
    assert describe(iter([b""])) == "PCM iterator"
    assert len(describe("x" * 500)) == 120


async def test_items_that_fail_are_warned_of_on_the_loop(tmp_path: Path) -> None:
    """And the others are played."""
    path = write_wav(tmp_path / "a.wav", 9_600)
    warned: list[tuple[str, int]] = []
    both = asyncio.Event()

    def warn(line: str) -> None:
        warned.append((line, threading.get_ident()))
        if len(warned) == 2:
            both.set()

    async with open_source([tmp_path / "x.wav", path, tmp_path / "y.wav"], LOCAL, warn=warn) as source:
        assert len([frame async for frame in source]) == 10
        assert source.statistics.skipped_items == 2
        async with asyncio.timeout(5):  # the thread tells the loop, which may come to it after the last frame
            await both.wait()
    assert [line.partition(" does")[0] for line, _ in warned] == [str(tmp_path / name) for name in ("x.wav", "y.wav")]
    assert {ident for _, ident in warned} == {threading.get_ident()}


# --- URLs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ranged", "plain", "live", "flaky"])
async def test_a_url_plays_like_its_file(kind: str) -> None:
    """Also where every connection breaks midway."""
    async with serving({"sample.flac": sample_path().read_bytes()}) as site:
        frames = await read(site.url(f"{kind}/sample.flac"), policy=LOOPBACK_ONE)
    assert [frame.payload for frame in frames] == [frame.payload for frame in await read(sample_path())]


async def test_a_url_that_dies_midway_gives_what_came_and_then_the_error() -> None:
    """Its first half, to the listener, then a SourceError that says where it broke."""
    async with serving({"sample.flac": sample_path().read_bytes()}) as site:
        async with open_source(site.url("dying/sample.flac"), LOOPBACK_ONE) as source:
            frames = []
            with pytest.raises(SourceError) as caught:
                frames.extend([frame async for frame in source])
            assert caught.value.fault == "died_midway"
            assert source.error is caught.value
            assert 200 < source.statistics.frames < 600
        assert await fault_of(site.url("plain/nothing"), LOOPBACK_ONE) == "http_status"
        to = f"http://127.0.0.2:{site.port}/plain/sample.flac"
        assert await fault_of(site.url(f"redirect?to={to}"), LOOPBACK_ONE) == "refused"


@pytest.mark.parametrize("kind", ["hanging", "mute"])
async def test_a_url_that_hangs_is_left_at_once(kind: str) -> None:
    """Whether it has begun to play or not even answered; the thread and the socket are gone."""
    async with serving({"sample.flac": sample_path().read_bytes()}) as site:
        source = EncodedSource(site.url(f"{kind}/sample.flac"), LOOPBACK_ONE)
        starting = asyncio.ensure_future(source.start())
        await asyncio.wait_for(site.asked.wait(), 5)
        if kind == "hanging":
            await starting
            assert await asyncio.wait_for(source.get(), 5)
            await asyncio.sleep(0.2)  # it may hang before that, or after: both are fine
        began = time.monotonic()
        await source.stop()
        assert time.monotonic() - began < 5  # a bound on hanging, not a measurement: bench/ has that
        assert not worker_threads()
        if kind == "mute":
            with pytest.raises(SourceError) as caught:
                await starting
            assert caught.value.fault == "stopped"
        await source.stop()


# --- stopping -----------------------------------------------------------------------------------------------


async def test_stopping_an_endless_source_leaves_nothing(tmp_path: Path) -> None:
    """While its thread waits for room in the queue; twice does no harm, and `get` says that it is over."""
    source = EncodedSource(write_wav(tmp_path / "a.wav", 48_000), LOCAL, SourceOptions(loop=True))
    await source.start()
    assert await source.get() is not None
    await source.stop()
    await source.stop()
    assert not worker_threads()
    assert await source.get() is None
    with pytest.raises(RuntimeError, match="once"):
        await source.start()


async def test_cancelling_the_start_leaves_nothing() -> None:
    """A task that is cancelled while it opens a URL takes the thread with it."""
    async with serving({"x": b"x"}) as site:
        source = EncodedSource(site.url("mute/x"), LOOPBACK_ONE)
        starting = asyncio.ensure_future(source.start())
        await asyncio.wait_for(site.asked.wait(), 5)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not worker_threads()


async def test_stopping_before_the_start_is_allowed() -> None:
    """There is nothing to stop."""
    await EncodedSource(sample_path(), LOCAL).stop()


async def test_a_waiting_get_is_woken_by_the_end() -> None:
    """When the iterator ends without another frame."""
    go_on = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(1_920)
        await go_on.wait()

    async with EncodedSource(chunks(), LOCAL) as source:
        assert await source.get() is not None
        waiting = asyncio.ensure_future(source.get())
        await asyncio.sleep(0)
        go_on.set()
        assert await asyncio.wait_for(waiting, 5) is None
