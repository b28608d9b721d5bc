"""From packets to frames."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from roomtone.client.encoding import FrameMaker
from roomtone.client.playout import Playout
from roomtone.media.delay import fixed
from roomtone.media.opus import Application
from roomtone.media.packet import FLAG_TALKSPURT_START, Codec, Packet
from roomtone.protocol.messages import TrackInfo
from tests.client.rooms import chirp, likeness

INFO = TrackInfo(track=1, participant_id="p", codec="opus")


def packets(seconds: float) -> list[Packet]:
    """A chirp, encoded."""
    maker = FrameMaker(
        "opus", sample_rate_hz=48_000, channels=1, frame_ms=20, bitrate_bps=32_000, application=Application.VOIP
    )
    return [
        Packet(1, number, 960 * number, frame.payload, flags=0 if number else FLAG_TALKSPURT_START)
        for number, frame in enumerate(maker.push(chirp(seconds)))
    ]


def playout(frame_ms: int = 20, **options: int) -> Playout:
    settings = {"sample_rate_hz": 48_000, "channels": 1} | options
    return Playout(INFO, fixed(20), frame_ms=frame_ms, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("frame_ms", [10, 20, 60, 100])
@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_any_frame_length_and_rate(frame_ms: int, rate_hz: int) -> None:
    """On a clock of the test's own the sound comes out whole, in frames of the length that was asked for."""
    ear = playout(frame_ms, sample_rate_hz=rate_hz)
    assert ear.pull(0.0).timestamp is None
    coming = packets(0.6)
    heard, now = [], 0.0
    while now < 0.8:
        while coming and coming[0].timestamp / 48_000 <= now:
            ear.push(coming.pop(0), now)
        frame = ear.pull(now)
        assert frame.pcm.shape == (rate_hz * frame_ms // 1000,)
        assert frame.duration_ms == frame_ms
        heard.append(frame.pcm)
        now += frame_ms / 1000
    assert likeness(np.concatenate(heard), chirp(0.6, rate_hz), rate_hz // 20) > 0.9


def test_timestamps_follow_the_sound() -> None:
    """Each frame's timestamp is 20 ms after the last while the sound plays."""
    ear = playout()
    for packet in packets(0.4):
        ear.push(packet, packet.timestamp / 48_000)
    stamps = [ear.pull(0.4 + number * 0.02).timestamp for number in range(10)]
    steps = {b - a for a, b in pairwise(stamps) if a is not None and b is not None}
    assert all(900 <= step <= 1_500 for step in steps)


def test_a_closed_track_is_heard_to_its_end() -> None:
    """After end() what is buffered still comes, then it is finished."""
    ear = playout()
    for packet in packets(0.2):
        ear.push(packet, 0.0)
    ear.pull(0.1)
    assert not ear.finished
    ear.end()
    pulls = 0
    while not ear.finished:
        ear.pull(0.12 + pulls * 0.02)
        pulls += 1
    assert 5 <= pulls <= 15
    empty = playout()
    empty.end()
    assert empty.finished


def test_a_flush_silences_at_once() -> None:
    """What was buffered before the flush is not heard."""
    ear = playout()
    coming = packets(0.4)
    for packet in coming:
        ear.push(packet, packet.timestamp / 48_000)
    assert np.abs(ear.pull(0.4).pcm).max() > 0
    ear.flush(len(coming), 0.42)
    assert not ear.pull(0.42).pcm[-480:].any()  # a few milliseconds fade, for a cut would click
    assert not ear.pull(0.44).pcm.any()


def test_stereo_and_mono_ears() -> None:
    """A mono track can be heard in two channels, and packets of another codec are not decoded as this one's."""
    ear = playout(channels=2)
    ear.push(packets(0.1)[0], 0.0)
    assert ear.pull(0.1).pcm.shape == (960, 2)
    ear.push(Packet(1, 9, 9, b"x", codec=Codec.PCMU), 0.1)
    assert ear.foreign_packets == 1
    assert ear.statistics.received == 1


@pytest.mark.parametrize("frame_ms", [0, 5, 25, 1_010])
def test_odd_frame_lengths_are_refused(frame_ms: int) -> None:
    """Frames are steps of 10 ms."""
    with pytest.raises(ValueError, match="frame_ms"):
        playout(frame_ms)
