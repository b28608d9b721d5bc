"""What is given to publish() and write(): odd settings, odd pieces, too much at once, and callers that give up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Literal

import numpy as np
import pytest

import roomtone
from roomtone.client.write_limit import CATCH_UP, MAX_AHEAD_S, WriteLimit
from roomtone.media.codec import make_decoder
from roomtone.media.opus import Application
from roomtone.media.packet import Codec
from roomtone.media.pcm import Pcm
from tests.client.rooms import DEADLINE_S, SAMPLE, chirp, hear, joining, likeness, pcm_chunks, serving, until


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_rate_hz": 0},
        {"sample_rate_hz": 500_000},
        {"channels": 3},
        {"frame_ms": 7},
        {"bitrate_bps": 100},
        {"bitrate_bps": 10_000_000},
        {"codec": "flac"},
        {"content": "noise"},
    ],
    ids=str,
)
async def test_a_wrong_setting_leaves_no_track(wrong: dict[str, Any]) -> None:
    """A setting out of range is a ValueError, whatever the source is, and no track is opened for it."""
    async with serving() as server, joining(server, "ada", memory=True) as ada:
        for source in (pcm_chunks(chirp(0.1)), [chirp(0.1)]):
            with pytest.raises(ValueError, match=r"\d|codec|content"):
                await ada.publish(source, **wrong)
        with pytest.raises(ValueError, match=r"\d|codec|content"):
            await ada.open_track(**wrong)
        room = server.rooms.get("lobby")
        assert room is not None
        assert len(room.tracks) == 0
        assert ada.local_tracks == []


@pytest.mark.parametrize("rate_hz", [11_025, 44_100])
async def test_rates_of_files_come_through(rate_hz: int) -> None:
    """PCM at a rate that no codec has, whose frames are no whole samples, is heard at that same rate."""
    said = chirp(0.6, rate_hz, low_hz=300, high_hz=1_500)
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        await ada.publish(pcm_chunks(said, 441), sample_rate_hz=rate_hz, frame_ms=20)
        track = await bob.next_track(DEADLINE_S)
        heard = [frame.pcm async for frame in _first(track.frames(rate_hz, 40), 20)]
        assert {len(pcm) for pcm in heard} == {rate_hz * 40 // 1000}
        assert likeness(np.concatenate(heard), said, rate_hz // 20) > 0.85


async def test_bytes_in_odd_pieces_are_one_stream() -> None:
    """The pieces of an HTTP response end in the middle of a sample: nothing is lost or shifted by it."""
    said = chirp(0.6, 24_000)

    async def pieces() -> AsyncIterator[bytes]:
        data = said.tobytes()
        for at in range(0, len(data), 1_001):
            yield data[at : at + 1_001]

    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        track = await ada.publish(pieces(), sample_rate_hz=24_000, codec="pcm_24k")
        remote = await bob.next_track(DEADLINE_S)
        assert likeness(await hear(remote, 0.8), chirp(0.6)) > 0.9
        await track.wait()


async def test_wrong_samples_are_told() -> None:
    """What is no PCM is a clear error of write(), and the track goes on."""
    async with serving() as server, joining(server, "ada", memory=True) as ada:
        track = await ada.open_track()
        samples = chirp(0.02)
        for wrong in (samples.astype(np.int32), np.stack([samples] * 6, axis=1), b"\0" * 961):
            with pytest.raises(ValueError, match=r"int16|channels|whole"):
                track.write(wrong)
        with pytest.raises(TypeError, match="s16le"):
            track.write("hello")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="at most 2 s"):
            track.write(np.zeros(3 * 48_000, np.int16))
        track.write(samples)
        assert track.statistics.sent_frames == 1


@pytest.mark.parametrize("kind", [np.float32, np.float64])
async def test_floats_are_sound(kind: type[np.floating[Any]]) -> None:
    """Asynchronous iterators, ordinary ones and write() take floats in -1..1 as they take int16."""
    said = chirp(0.6, low_hz=300, high_hz=1_500)
    floats = (said / 32_767).astype(kind)
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        for source in (pcm_chunks(floats), [floats], None):  # type: ignore[arg-type]
            if source is None:
                track = await ada.open_track()
            else:
                track = await ada.publish(source)
            remote = await bob.next_track(DEADLINE_S)
            hearing = asyncio.create_task(hear(remote, 0.8))
            await asyncio.sleep(0)
            if source is None:
                track.write(floats)
            assert likeness(await hearing, said) > 0.9
            await track.close()


async def test_what_iterators_give_wrongly_is_a_source_error() -> None:
    """Both kinds of iterator: wait() raises a SourceError, which is a RoomtoneError, and the room goes on."""
    async with serving() as server, joining(server, "ada", memory=True) as ada:
        wrong = np.zeros(960, np.int32)
        for source in (pcm_chunks(wrong), [wrong]):  # type: ignore[arg-type]
            track = await ada.publish(source)
            with pytest.raises(roomtone.SourceError, match="int32") as told:
                await track.wait()
            assert told.value.fault == "bad_pcm"
            assert isinstance(told.value, roomtone.RoomtoneError)
        await ada.send("still there")


@pytest.mark.parametrize(
    ("content", "channels", "bitrate_bps"),
    [("voice", 1, 32_000), ("voice", 2, 48_000), ("music", 1, 64_000), ("music", 2, 96_000)],
)
async def test_the_bitrate_suits_content_and_channels(
    content: Literal["voice", "music"], channels: int, bitrate_bps: int
) -> None:
    """Unless it is given: the same for live sound, for what is read, and for what is written."""
    shape = (480, channels) if channels == 2 else (480,)
    silent = np.zeros(shape, np.int16)
    async with serving() as server, joining(server, "ada", memory=True) as ada:
        tracks = [
            await ada.publish(pcm_chunks(silent), content=content, channels=channels),
            await ada.publish([silent], content=content, channels=channels),
            await ada.open_track(content=content, channels=channels),
        ]
        assert [track.statistics.bitrate_bps for track in tracks] == [bitrate_bps] * 3
        given = await ada.open_track(content=content, channels=channels, bitrate_bps=20_000)
        assert given.statistics.bitrate_bps == 20_000


async def test_low_delay_looks_less_far_ahead() -> None:
    """Opus leaves its speech coder out, and the sound comes 4 ms earlier; for what is read ahead it is refused."""
    tone = chirp(0.2)
    lags = []
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        for low_delay in (False, True):
            track = await ada.open_track(low_delay=low_delay, frame_ms=10, bitrate_bps=64_000)
            packets = (await bob.next_track(DEADLINE_S)).packets()
            track.write(tone)
            decoder = make_decoder(Codec.OPUS)
            heard = np.concatenate([decoder.decode((await anext(packets)).payload) for _ in range(20)])
            lags.append(_lag_samples(heard, tone))
            await track.close()
        live = await ada.publish(pcm_chunks(tone), low_delay=True)
        assert live.options.application is Application.LOW_DELAY
        with pytest.raises(ValueError, match="live sound"):
            await ada.publish(str(SAMPLE), low_delay=True)
    assert np.abs(np.array(lags) - [312, 120]).max() < 10  # 6.5 ms and 2.5 ms


def _lag_samples(heard: Pcm, said: Pcm) -> int:
    size = 4 * len(said)
    products = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    return int(np.argmax(products[:2_000]))


async def test_writing_far_ahead_of_time_is_bounded() -> None:
    """A loop that writes as fast as it can sends two seconds, and the rest is counted; time goes on for it."""
    async with serving() as server, joining(server, "ada", memory=True) as ada:
        track = await ada.open_track(codec="pcmu", sample_rate_hz=8_000)
        for _ in range(10):
            track.write(np.zeros(8_000, np.int16))
        statistics = track.statistics
        assert 100 <= statistics.sent_frames <= 110
        assert statistics.sent_frames + statistics.early_frames == 500


def test_the_write_limit_follows_a_fast_clock() -> None:
    """A device whose clock is a little fast is never held back; a burst is, until its time has come."""
    limit = WriteLimit()
    step_s = 0.02
    assert all(limit.allows(step_s, at * step_s / (CATCH_UP - 0.02)) for at in range(20_000))
    now = 20_000 * step_s
    burst = [limit.allows(step_s, now) for _ in range(200)]
    assert sum(burst) <= MAX_AHEAD_S / step_s
    assert not burst[-1]
    assert limit.allows(step_s, now + 0.1)


async def test_a_cancelled_publish_leaves_no_track() -> None:
    """Whoever gives up while the track is opened gets no track that nobody owns."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        for source in (pcm_chunks(chirp(1)), [chirp(1)]):
            attempt = asyncio.create_task(ada.publish(source))
            link = ada._link
            assert link is not None
            async with asyncio.timeout(DEADLINE_S):
                while not link.session.pending:  # noqa: ASYNC110  the answer is there a moment later
                    await asyncio.sleep(0)
            attempt.cancel()
            with pytest.raises(asyncio.CancelledError):
                await attempt
            room = server.rooms.get("lobby")
            assert room is not None
            await until(lambda room=room: len(room.tracks) == 0 and not bob.tracks)
        await ada.send("still there")
        assert len(room.tracks) == 0
        assert ada.local_tracks == []


async def test_a_cancelled_leave_goes_on() -> None:
    """Cancelled while it leaves, a room still gives its seat, its tracks and its connection back."""
    async with serving() as server:
        ada = joining(server, "ada")
        await ada.join()
        track = await ada.publish(str(SAMPLE))
        leaving = asyncio.create_task(ada.leave())
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        await ada.leave()
        assert ada.state == "closed"
        assert track.released
        room = server.rooms.get("lobby")
        await until(lambda: room is None or len(room) == 0)


async def test_a_source_that_cannot_clean_up_keeps_nothing() -> None:
    """What a generator raises when it is closed comes out of close() or leave(), after everything was given back."""

    async def stubborn() -> AsyncIterator[Any]:
        try:
            while True:
                yield chirp(0.02)
        finally:
            raise RuntimeError("the device does not close")

    async with serving() as server:
        room = server.rooms.open("lobby", server.door.room_options(), asyncio.get_running_loop().time())
        ada = joining(server, "ada")
        await ada.join()
        first, second = await ada.publish(stubborn()), await ada.publish(stubborn())
        other = await ada.publish(str(SAMPLE))
        await until(lambda: first.statistics.sent_frames and second.statistics.sent_frames)
        with contextlib.suppress(RuntimeError):
            await first.close()
        assert sorted(track.id for track in room.track_table) == [second.id, other.id]
        with contextlib.suppress(RuntimeError):
            await ada.leave()
        assert (ada.state, other.released) == ("closed", True)
        await until(lambda: len(room) == 0)
        with pytest.raises(roomtone.NotInRoom):
            await ada.mute()


async def test_long_frames_are_gathered_in_time() -> None:
    """A frame of 60 ms is pulled in parts, so that it needs no deeper buffer; a cancelled read loses none of it."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        await ada.publish([chirp(2)])
        track = await bob.next_track(DEADLINE_S)
        stream = track.frames(48_000, 60)
        assert stream.playout.frame_ms == 20
        await anext(stream)
        reading = asyncio.ensure_future(anext(stream))
        await until(lambda: stream._parts)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        kept = len(stream._parts)
        assert 0 < kept < 3
        frame = await anext(stream)
        assert (len(frame.pcm), frame.duration_ms) == (2_880, 60)
        mixed = await anext(bob.mix(44_100, 30))
        assert (len(mixed.pcm), mixed.sample_rate_hz) == (1_323, 44_100)


async def _first(stream: Any, count: int) -> AsyncIterator[Any]:
    for _ in range(count):
        yield await anext(stream)
