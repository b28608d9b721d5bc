"""The small parts: queues, gain, cadence, encoding, roster, errors, addresses."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import roomtone
from roomtone.client.cadence import Cadence
from roomtone.client.encoding import FrameMaker
from roomtone.client.errors import connect_error
from roomtone.client.gain import GainRamp
from roomtone.client.queues import DropOldest
from roomtone.client.roster import Roster
from roomtone.client.socket import base_url
from roomtone.media.codec import make_decoder
from roomtone.media.opus import Application
from roomtone.media.packet import Codec
from roomtone.protocol import close_codes, messages
from roomtone.sources.cancel import CancelToken
from roomtone.sources.pcm import IteratorPcm, PcmFormat
from tests.client.rooms import chirp


async def test_a_full_queue_drops_its_oldest() -> None:
    """The newest stay, in order, and what went is counted; after close() the rest, then the end."""
    queue: DropOldest[int] = DropOldest(3)
    for number in range(5):
        queue.put(number)
    assert (len(queue), queue.dropped) == (3, 2)
    queue.close()
    queue.put(9)
    assert [await queue.get() for _ in range(3)] == [2, 3, 4]
    with pytest.raises(StopAsyncIteration):
        await queue.get()


async def test_a_queue_wakes_its_reader_and_tells_an_error() -> None:
    """A waiting reader gets what comes; a second one at the same time is a mistake; an error ends it."""
    queue: DropOldest[int] = DropOldest(3)
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError):
        await queue.get()
    queue.put(7)
    assert await waiting == 7
    queue.close(ValueError("over"))
    queue.close(None)
    assert queue.closed
    with pytest.raises(ValueError, match="over"):
        await queue.get()


def test_gain_moves_in_a_line() -> None:
    """Within the ramp each sample is closer to the goal than the one before; after it the gain holds."""
    ramp = GainRamp(1_000)
    flat = np.full(10, 1_000, np.int16)
    assert ramp.apply(flat) is flat
    ramp.move(-20, 15)
    first, second, third = ramp.apply(flat), ramp.apply(flat), ramp.apply(flat)
    joined = np.concatenate((first, second)).astype(int)
    assert (np.diff(joined) <= 0).all()
    assert np.ptp(np.diff(joined[:15])) <= 1
    assert (third == 100).all()
    ramp.move(0, 0)
    assert (ramp.apply(flat) == 1_000).all()
    ramp.move(-60, 0)
    assert not ramp.apply(np.full((4, 2), 9, np.int16)).any()


async def test_a_cadence_keeps_absolute_time() -> None:
    """Waits add up to the time that passed; a late consumer skips what is older than 200 ms."""
    loop = asyncio.get_running_loop()
    cadence = Cadence(0.01, max_late_s=0.05)
    start = loop.time()
    assert [await cadence.wait() for _ in range(5)] == [0, 0, 0, 0, 0]
    assert loop.time() - start >= 0.04
    cadence._start = start - 10.0
    skipped = await cadence.wait()
    assert skipped >= 990
    assert await cadence.wait() == 0


@given(cuts=st.lists(st.integers(1, 2_000), min_size=1, max_size=12), channels=st.sampled_from([1, 2]))
def test_frames_are_cut_exactly(cuts: list[int], channels: int) -> None:
    """However PCM is cut up, the same frames come out, and finish() fills the last with silence."""
    pcm = np.arange(sum(cuts) * channels).astype(np.int16).reshape(-1, channels)
    pcm = pcm[:, 0] if channels == 1 else pcm
    maker = FrameMaker(
        "pcm_24k",
        sample_rate_hz=24_000,
        channels=channels,
        frame_ms=20,
        bitrate_bps=32_000,
        application=Application.VOIP,
    )
    frames = []
    at = 0
    for count in cuts:
        frames += maker.push(pcm[at : at + count])
        at += count
    frames += maker.finish()
    sound = b"".join(frame.payload for frame in frames)
    assert len(sound) == -(-len(pcm) // 480) * 480 * 2 * channels
    assert sound.startswith(pcm.tobytes())
    assert not sound[pcm.nbytes :].strip(b"\0")
    assert all(frame.duration_ticks == 960 for frame in frames)
    maker.close()


def test_frames_are_encoded_from_other_rates() -> None:
    """44.1 kHz in, Opus out at the same pitch; the bitrate follows, within Opus's bounds."""
    maker = FrameMaker(
        "opus", sample_rate_hz=44_100, channels=1, frame_ms=20, bitrate_bps=64_000, application=Application.AUDIO
    )
    tone = (np.sin(np.arange(44_100) * 2 * np.pi * 1_000 / 44_100) * 9_000).astype(np.int16)
    frames = maker.push(tone.tobytes())
    decoder = make_decoder(Codec.OPUS)
    heard = np.concatenate([decoder.decode(frame.payload) for frame in frames])[9_600:]
    spectrum = np.abs(np.fft.rfft(heard.astype(np.float64)))
    assert abs(np.argmax(spectrum) * 48_000 / len(heard) - 1_000) < 5
    large = sum(len(frame.payload) for frame in frames)
    maker.set_bitrate(1)
    small = sum(len(frame.payload) for frame in maker.push(tone))
    assert small < large / 3
    odd = FrameMaker(
        "opus", sample_rate_hz=11_025, channels=1, frame_ms=20, bitrate_bps=32_000, application=Application.VOIP
    )
    assert len(odd.push(np.zeros(11_025, np.int16)) + odd.finish()) in (50, 51)


@given(values=st.lists(st.floats(-3, 3, width=32), max_size=200), wide=st.booleans())
def test_floats_are_the_same_everywhere(values: list[float], wide: bool) -> None:
    """What is written sounds as what a server plays from an iterator: full scale is 1, more is cut off."""
    floats = np.array(values, np.float64 if wide else np.float32)
    maker = FrameMaker(
        "pcm_48k", sample_rate_hz=48_000, channels=1, frame_ms=2.5, bitrate_bps=32_000, application=Application.VOIP
    )
    written = b"".join(frame.payload for frame in [*maker.push(floats), *maker.finish()])
    read = IteratorPcm([floats], "floats", PcmFormat(), CancelToken())._samples(floats)
    assert np.array_equal(np.frombuffer(written, np.int16)[: len(values)], read)


def test_levels_and_voice_are_told() -> None:
    """A loud frame counts as voice with its level, silence does not."""
    maker = FrameMaker(
        "pcmu", sample_rate_hz=8_000, channels=1, frame_ms=20, bitrate_bps=64_000, application=Application.VOIP
    )
    loud, quiet = maker.push(np.concatenate((chirp(0.02, 8_000), np.zeros(160, np.int16))))
    assert (loud.voice, quiet.voice, quiet.level) == (True, False, 127)
    assert loud.level < 20
    maker.push(np.zeros(10, np.int16))
    maker.clear()
    assert maker.finish() == []


def test_the_roster_follows_events() -> None:
    """A snapshot, then who comes, changes and goes, with their tracks."""
    roster = Roster()
    ada = messages.ParticipantInfo(participant_id="p1", identity="ada")
    bob = messages.ParticipantInfo(participant_id="p2", identity="bob")
    track = messages.TrackInfo(track=5, participant_id="p2", codec="opus")
    roster.load(messages.RoomSnapshot(name="lobby", participants=[ada], speakers=["p1"], metadata="m"))
    roster.apply(messages.ParticipantJoined(event_id=1, participant=bob))
    roster.apply(messages.TrackOpened(event_id=2, track=track))
    roster.apply(messages.Speakers(speakers=[messages.SpeakerInfo("p2", 20), messages.SpeakerInfo("p1", 30)]))
    assert [roster.identity(one) for one in roster.speakers] == ["bob", "ada"]
    assert roster.identity("hidden") == "hidden"
    assert roster.tracks == {5: track}
    roster.apply(messages.ParticipantLeft(event_id=3, participant_id="p2", identity="bob", reason="left"))
    assert (list(roster.participants), roster.tracks) == (["p1"], {})


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        (close_codes.BAD_TOKEN.code, roomtone.BadToken, False),
        (close_codes.REPLACED.code, roomtone.Replaced, False),
        (close_codes.REMOVED.code, roomtone.Removed, False),
        (close_codes.ROOM_FULL.code, roomtone.RoomFull, True),
        (close_codes.SERVER_FULL.code, roomtone.ServerFull, True),
        (close_codes.ROOM_CLOSED.code, roomtone.RoomClosed, False),
        (close_codes.PROTOCOL_ERROR.code, roomtone.ProtocolFailure, False),
        (None, roomtone.ServerUnreachable, True),
        (4999, roomtone.ConnectError, True),
    ],
)
def test_close_codes_are_errors(code: int | None, kind: type[roomtone.ConnectError], retryable: bool) -> None:
    """Each code has its exception, which says whether trying again may help."""
    error = connect_error(code, "because")
    assert type(error) is kind
    assert (error.code, error.retryable) == (code, retryable)
    assert "because" in str(error)


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (4001, "bad_token: no token was given", "no token was given (close code 4001)"),
        (4003, "removed", "a moderator or the HTTP API removed the participant (close code 4003)"),
        (4002, "", "the same identity joined again; the newer session stays (close code 4002)"),
        (4999, "", "the connection was closed (close code 4999)"),
        (4999, "on a whim", "on a whim (close code 4999)"),
        (None, "nobody is there", "nobody is there"),
    ],
)
def test_errors_are_one_sentence(code: int | None, reason: str, said: str) -> None:
    """What the server said, or what the code means: not both, and no name of a code beside its number."""
    assert str(connect_error(code, reason)) == said


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h:7800", "http://h:7800"),
        ("ws://h:7800/v1/connect", "http://h:7800"),
        ("wss://h/voice/", "https://h/voice"),
        ("https://h/voice/v1/connect", "https://h/voice"),
        ("http://[::1]:7800/", "http://[::1]:7800"),
    ],
)
def test_addresses_in_every_shape(url: str, base: str) -> None:
    """HTTP or WebSocket, with the path or without: the same server."""
    assert base_url(url) == base


@pytest.mark.parametrize("url", ["", "localhost:7800", "ftp://h", "http://", "file:///etc"])
def test_other_addresses_are_refused(url: str) -> None:
    """What is no server's address is the caller's mistake, told at once."""
    with pytest.raises(ValueError, match="address"):
        roomtone.connect(url, "token")


def test_unknown_codecs_are_refused() -> None:
    """A codec that this client cannot decode is not offered."""
    with pytest.raises(ValueError, match="codecs are"):
        roomtone.connect("http://h", "token", codecs=["mp3"])
