from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from roomtone.media.codec import make_decoder
from roomtone.media.packet import FLAG_TALKSPURT_END, FLAG_TALKSPURT_START, Codec, Packet
from roomtone.media.sequence import sequence_difference, timestamp_difference
from roomtone.participants.broadcaster import Broadcaster, BroadcastOptions
from roomtone.room.errors import RoomError
from roomtone.room.events import (
    BitrateRequested,
    ParticipantJoined,
    ParticipantLeft,
    RoomEvent,
    TrackClosed,
    TrackOpened,
)
from roomtone.room.grants import Grants
from roomtone.room.options import RoomOptions
from roomtone.room.room import Room
from roomtone.room.seat import Seat
from roomtone.sources.errors import SourceError
from roomtone.sources.policy import SourcePolicy
from roomtone.sources.spec import SourceSpec
from tests.sources.media import tone, write_wav
from tests.sources.web import LOOPBACK_ONE, serving

LOCAL = SourcePolicy.local()
BRIEF = BroadcastOptions(linger_ms=0)
BOTH = FLAG_TALKSPURT_START | FLAG_TALKSPURT_END


class Listener:
    """Keeps what it hears, and tells when it has heard so much."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.events: list[RoomEvent] = []
        self._heard = asyncio.Event()
        self._wanted = 0

    def deliver(self, packet: Packet, now: float) -> None:
        self.packets.append(packet)
        if len(self.packets) >= self._wanted:
            self._heard.set()

    def notify(self, event: RoomEvent, now: float) -> None:
        self.events.append(event)

    async def heard(self, total: int) -> None:
        """Until it has that many packets."""
        self._wanted = total
        self._heard.clear()
        if len(self.packets) < total:
            await asyncio.wait_for(self._heard.wait(), 10)

    def of(self, kind: type[RoomEvent]) -> list[RoomEvent]:
        return [event for event in self.events if isinstance(event, kind)]

    def flags(self) -> list[tuple[int, int]]:
        """(index, talkspurt flags) of the packets that have any."""
        return [(index, packet.flags & BOTH) for index, packet in enumerate(self.packets) if packet.flags & BOTH]


class Hall:
    """A room with a moderator who listens."""

    def __init__(self, options: RoomOptions | None = None) -> None:
        ids = itertools.count(1)
        self.now = asyncio.get_running_loop().time
        self.room = Room("hall", options or RoomOptions(), ids=lambda kind: f"{kind}{next(ids)}", now=self.now())
        self.listener = Listener()
        self.moderator: Seat = self.room.join(self.listener, "moderator", Grants(moderate=True), self.now())

    def broadcaster(
        self, source: SourceSpec, options: BroadcastOptions = BRIEF, policy: SourcePolicy = LOCAL
    ) -> Broadcaster:
        return Broadcaster(self.room, source, identity="radio", name="Radio", policy=policy, options=options)


def nothing_runs() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name == "roomtone source"]


def assert_contiguous(packets: list[Packet]) -> None:
    for older, newer in itertools.pairwise(packets):
        assert sequence_difference(newer.sequence, older.sequence) == 1
        assert timestamp_difference(newer.timestamp, older.timestamp) == 960


async def test_a_file_is_heard_in_the_room_from_its_start_to_its_end(tmp_path: Path) -> None:
    """Every sample once, in one talkspurt, by a participant that comes and goes."""
    hall = Hall()
    broadcaster = hall.broadcaster(write_wav(tmp_path / "a.wav", 24_000))
    assert broadcaster.status.state == "starting"
    await broadcaster.start()
    assert broadcaster.status.state == "playing"
    status = await asyncio.wait_for(broadcaster.wait(), 10)
    listener = hall.listener
    assert (status.state, status.error, status.frames, status.underruns) == ("finished", "", 25, 0)
    assert status.seconds_played == 0.5
    assert_contiguous(listener.packets)
    assert listener.flags() == [(0, FLAG_TALKSPURT_START), (24, FLAG_TALKSPURT_END)]
    assert {packet.track for packet in listener.packets} == {broadcaster.track}
    decoder = make_decoder(Codec.OPUS, 1, 48_000)
    out = np.concatenate([decoder.decode(packet.payload) for packet in listener.packets])
    error = out[5_312:20_312].astype(float) - tone(24_000, 48_000)[5_000:20_000]
    assert 20 * np.log10(np.std(error) / (8_000 / 2**0.5)) < -20
    joined = listener.of(ParticipantJoined)[0]
    assert isinstance(joined, ParticipantJoined)
    assert (joined.participant.kind, joined.participant.name) == ("broadcaster", "Radio")
    opened = listener.of(TrackOpened)[0]
    assert isinstance(opened, TrackOpened)
    assert (opened.track.content, opened.track.channels, opened.track.frame_ms) == ("music", 1, 20)
    assert listener.of(TrackClosed)
    assert listener.of(ParticipantLeft)
    assert nothing_runs()


async def test_it_is_sent_at_the_speed_at_which_it_is_heard(tmp_path: Path) -> None:
    """The clock may never be further behind than the lead: half a second takes half a second."""
    hall = Hall()
    began = hall.now()
    broadcaster = hall.broadcaster(write_wav(tmp_path / "a.wav", 24_000))
    await broadcaster.start()
    await asyncio.wait_for(broadcaster.wait(), 10)
    assert hall.now() - began >= 0.5


async def test_a_playlist_goes_on_over_broken_items_and_rounds(tmp_path: Path) -> None:
    """Gapless, with the broken one in the warnings."""
    hall = Hall()
    paths = [write_wav(tmp_path / "a.wav", 4_410, 44_100), tmp_path / "none.wav", write_wav(tmp_path / "b.wav", 3_000)]
    broadcaster = hall.broadcaster(paths, BroadcastOptions(linger_ms=0, loop=2))
    await broadcaster.start()
    status = await asyncio.wait_for(broadcaster.wait(), 10)
    assert (status.state, status.loops, status.skipped_items) == ("finished", 2, 2)
    assert ["none.wav" in line for line in status.warnings] == [True, True]
    assert status.frames == -(-2 * (4_800 + 3_000) // 960)
    assert_contiguous(hall.listener.packets)


async def test_stopping_leaves_the_room_at_once(tmp_path: Path) -> None:
    """In the middle of an endless loop; twice does no harm; starting again is refused."""
    hall = Hall()
    broadcaster = hall.broadcaster(write_wav(tmp_path / "a.wav", 48_000), BroadcastOptions(loop=True))
    await broadcaster.start()
    await hall.listener.heard(5)
    await broadcaster.stop()
    await broadcaster.stop()
    assert broadcaster.status.state == "stopped"
    assert hall.listener.of(ParticipantLeft)
    assert nothing_runs()
    heard = len(hall.listener.packets)
    await asyncio.sleep(0.05)
    assert len(hall.listener.packets) == heard
    with pytest.raises(RuntimeError, match="once"):
        await broadcaster.start()


async def test_an_unreadable_source_never_takes_a_seat(tmp_path: Path) -> None:
    """`start` raises what is wrong, and the room has noticed nothing."""
    hall = Hall()
    for source, policy in [
        (tmp_path / "none.wav", LOCAL),
        (tmp_path, LOCAL),
        ("/etc/passwd", SourcePolicy()),
        ("http://127.0.0.1:1/x", SourcePolicy()),
        ("-", SourcePolicy()),
    ]:
        broadcaster = hall.broadcaster(source, policy=policy)
        with pytest.raises(SourceError):
            await broadcaster.start()
        assert broadcaster.status.state == "failed"
        assert broadcaster.status.error
        await broadcaster.stop()
    assert not hall.listener.events
    assert nothing_runs()


async def test_a_full_room_is_the_rooms_refusal(tmp_path: Path) -> None:
    """Passed on by `start`, with the source closed again."""
    hall = Hall(RoomOptions(capacity=1))
    broadcaster = hall.broadcaster(write_wav(tmp_path / "a.wav", 48_000))
    with pytest.raises(RoomError):
        await broadcaster.start()
    assert broadcaster.status.state == "failed"
    assert nothing_runs()


async def test_removed_by_a_moderator_it_stops(tmp_path: Path) -> None:
    """And says why."""
    hall = Hall()
    broadcaster = hall.broadcaster(write_wav(tmp_path / "a.wav", 48_000), BroadcastOptions(loop=True))
    await broadcaster.start()
    await hall.listener.heard(5)
    hall.moderator.moderate("remove", "radio", hall.now())
    status = await asyncio.wait_for(broadcaster.wait(), 10)
    assert (status.state, status.error) == ("stopped", "removed")
    assert nothing_runs()


@pytest.mark.parametrize(("block", "unblock"), [("mute", "unmute"), ("demote", "promote")])
async def test_muted_it_keeps_time(tmp_path: Path, block: str, unblock: str) -> None:
    """Silence meanwhile; afterwards a new talkspurt, as far on in the source as the clock is."""
    hall = Hall()
    broadcaster = hall.broadcaster(write_wav(tmp_path / "a.wav", 48_000), BroadcastOptions(loop=True))
    await broadcaster.start()
    await hall.listener.heard(5)
    hall.moderator.moderate(block, "radio", hall.now())  # type: ignore[arg-type]
    before = hall.listener.packets[-1]
    played = broadcaster.status.seconds_played
    muted_at = hall.now()
    await asyncio.sleep(0.4)
    assert broadcaster.status.seconds_played > played + 0.3
    assert hall.listener.packets[-1] is before
    hall.moderator.moderate(unblock, "radio", hall.now())  # type: ignore[arg-type]
    muted_for = hall.now() - muted_at
    await hall.listener.heard(len(hall.listener.packets) + 3)
    after = hall.listener.packets[hall.listener.packets.index(before) + 1]
    await broadcaster.stop()
    assert after.flags & FLAG_TALKSPURT_START
    assert sequence_difference(after.sequence, before.sequence) == 1
    passed_s = timestamp_difference(after.timestamp, before.timestamp) / 48_000
    assert passed_s >= 0.3
    assert passed_s < muted_for + 1


async def test_a_bitrate_asked_for_is_obeyed_up_to_its_own(tmp_path: Path) -> None:
    """The room's wish lowers it; it never goes above what it was started with."""
    hall = Hall()
    options = BroadcastOptions(loop=True, bitrate_bps=64_000)
    broadcaster = hall.broadcaster(write_wav(tmp_path / "a.wav", 48_000), options)
    await broadcaster.start()
    broadcaster.notify(BitrateRequested(track=broadcaster.track, bitrate_bps=16_000), hall.now())
    assert broadcaster.status.bitrate_bps == 16_000
    broadcaster.notify(BitrateRequested(track=broadcaster.track + 1, bitrate_bps=8_000), hall.now())
    assert broadcaster.status.bitrate_bps == 16_000
    broadcaster.notify(BitrateRequested(track=broadcaster.track, bitrate_bps=500_000), hall.now())
    assert broadcaster.status.bitrate_bps == 64_000
    await broadcaster.stop()


async def test_a_source_slower_than_time_ends_its_talkspurt_and_starts_anew() -> None:
    """Silence is told as such; the pause is in the timestamps, and the sequence has no hole."""
    hall = Hall()
    go_on = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield tone(9_600, 48_000).tobytes()
        await go_on.wait()
        yield tone(9_600, 48_000).tobytes()

    broadcaster = hall.broadcaster(chunks())
    await broadcaster.start()
    await hall.listener.heard(11)  # ten of sound, one of silence that ends them
    assert hall.listener.packets[10].flags & FLAG_TALKSPURT_END
    assert hall.listener.packets[10].level == 127
    await asyncio.sleep(0.15)
    go_on.set()
    status = await asyncio.wait_for(broadcaster.wait(), 10)
    packets = hall.listener.packets
    assert status.underruns == 1
    assert status.state == "finished"
    assert [flag for _, flag in hall.listener.flags()[:3]] == [
        FLAG_TALKSPURT_START,
        FLAG_TALKSPURT_END,
        FLAG_TALKSPURT_START,
    ]
    for older, newer in itertools.pairwise(packets):
        assert sequence_difference(newer.sequence, older.sequence) == 1
    assert timestamp_difference(packets[10].timestamp, packets[9].timestamp) == 960
    assert timestamp_difference(packets[11].timestamp, packets[10].timestamp) / 48_000 > 0.2
    assert packets[-1].flags & FLAG_TALKSPURT_END
    assert_contiguous(packets[11:21])


async def test_a_url_that_dies_midway_fails_after_what_it_gave() -> None:
    """The room hears the first part, and its end; the status says what happened."""
    hall = Hall()
    pcm = tone(96_000, 48_000).tobytes()
    header = (
        b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0\x80\xbb\0\0\0\x77\x01\0\x02\0\x10\0data\xff\xff\xff\x7f"
    )
    async with serving({"a.wav": header + pcm[:96_000]}) as site:
        broadcaster = hall.broadcaster(site.url("dying/a.wav"), policy=LOOPBACK_ONE)
        await broadcaster.start()
        status = await asyncio.wait_for(broadcaster.wait(), 10)
    assert status.state == "failed"
    assert "broke off" in status.error
    assert status.frames >= 20
    assert hall.listener.packets[-1].flags & FLAG_TALKSPURT_END
    assert hall.listener.of(ParticipantLeft)
    assert nothing_runs()


async def test_stopped_while_it_starts_it_never_sits_down() -> None:
    """`start` returns, for stopping is no fault of the source."""
    hall = Hall()
    async with serving({"x": b"x"}) as site:
        broadcaster = hall.broadcaster(site.url("mute/x"), policy=LOOPBACK_ONE)
        starting = asyncio.ensure_future(broadcaster.start())
        await asyncio.wait_for(site.asked.wait(), 5)
        await broadcaster.stop()
        await asyncio.wait_for(starting, 5)
    assert broadcaster.status.state == "stopped"
    assert not hall.listener.events
    assert nothing_runs()


async def test_the_room_closing_under_it_is_no_failure(tmp_path: Path) -> None:
    """It stops, says why, and nothing goes on ticking."""
    hall = Hall()
    broadcaster = hall.broadcaster(write_wav(tmp_path / "a.wav", 48_000), BroadcastOptions(loop=True))
    await broadcaster.start()
    await hall.listener.heard(3)
    hall.room.close(hall.now())
    status = await asyncio.wait_for(broadcaster.wait(), 10)
    assert (status.state, status.error) == ("stopped", "room_closed")


def test_options_are_checked() -> None:
    """Its own and those of the source."""
    for wrong in ({"lead_ms": -1}, {"linger_ms": 20_000}, {"frame_ms": 7}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            BroadcastOptions(**wrong)  # type: ignore[arg-type]
