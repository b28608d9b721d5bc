"""Rooms as users see them, on real sockets and through memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import numpy as np
import pytest

import roomtone
from roomtone.client.write_limit import WriteLimit
from roomtone.media.packet import FLAG_TALKSPURT_START, Codec
from roomtone.media.pcm import Pcm
from roomtone.protocol.messages import AudioEnded, Playout, TrackFlushed
from roomtone.server.app import Server
from tests.client.rooms import DEADLINE_S, SAMPLE, chirp, cut, hear, joining, likeness, pcm_chunks, serving, until

both_transports = pytest.mark.parametrize("memory", [False, True], ids=["socket", "memory"])


@both_transports
async def test_two_clients_hear_each_other(memory: bool) -> None:
    """What one says comes out of the other's frames, both ways at once, and is what was said."""
    low, high = chirp(1.2), chirp(1.2, low_hz=3_000, high_hz=1_000)
    async with (
        serving() as server,
        joining(server, "ada", memory=memory) as ada,
        joining(server, "bob", memory=memory) as bob,
    ):
        assert (ada.identity, ada.state, ada.name) == ("ada", "joined", "lobby")
        await until(lambda: set(ada.participants) == {"ada", "bob"} == set(bob.participants))
        own = await asyncio.gather(ada.publish(pcm_chunks(low)), bob.publish(pcm_chunks(high)))
        from_bob, from_ada = await asyncio.gather(ada.next_track(DEADLINE_S), bob.next_track(DEADLINE_S))
        assert (from_bob.identity, from_ada.identity) == ("bob", "ada")
        assert from_ada.id == own[0].id
        at_ada, at_bob = await asyncio.gather(hear(from_bob, 1.4), hear(from_ada, 1.4))
        await own[0].wait()
        assert likeness(at_bob, low) > 0.95
        assert likeness(at_ada, high) > 0.95
        assert likeness(at_ada, low) < 0.5
        assert own[0].statistics.sent_frames == 60
        assert bob.statistics.received_frames == 60


async def test_a_file_is_published() -> None:
    """Speech from a FLAC file arrives as speech, marked as voice, from the talkspurt's start to its end."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        await ada.publish([str(SAMPLE)], name="sample", channels=1)
        track = await bob.next_track(DEADLINE_S)
        assert (track.name, track.info.codec, track.info.channels) == ("sample", "opus", 1)
        heard = await hear(track, 2.0)
        assert np.abs(heard).max() > 2_000
        assert bob.speakers in ([], ["ada"])


@pytest.mark.parametrize("codec", ["opus", "pcm_16k", "pcm_24k", "pcmu", "pcma"])
async def test_every_codec_carries_sound(codec: str) -> None:
    """Written PCM arrives in whatever codec the track was opened with."""
    said = chirp(0.6, low_hz=300, high_hz=1_500)
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        await ada.publish(pcm_chunks(said), codec=codec)
        track = await bob.next_track(DEADLINE_S)
        assert track.info.codec == codec
        assert likeness(await hear(track, 0.8), said) > 0.9


@pytest.mark.parametrize("kind", ["array", "list", "generator"])
async def test_pcm_at_hand_is_published(kind: str) -> None:
    """An array, a list of them and a plain generator are sources too, at the rate that is told."""
    said = chirp(0.6, 24_000, low_hz=300, high_hz=1_500)
    sources = {"array": said, "list": [said], "generator": (said[at : at + 100] for at in range(0, len(said), 100))}
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        track = await ada.publish(sources[kind], sample_rate_hz=24_000)
        remote = await bob.next_track(DEADLINE_S)
        assert likeness(await hear(remote, 0.8), chirp(0.6, low_hz=300, high_hz=1_500)) > 0.8
        await track.wait()


async def test_a_demoted_speaker_stops() -> None:
    """A listener's frames are not sent; the track stays, and goes on after a promotion."""
    grants = {"moderate": True}
    async with serving() as server, joining(server, "mo", grants=grants) as mo, joining(server, "bob") as bob:
        track = await bob.open_track()
        packets = (await mo.next_track(DEADLINE_S)).packets()
        await mo.moderate("demote", "bob")
        await until(lambda: bob.participants["bob"].role == "listener")
        track.write(chirp(0.1))
        assert (track.statistics.sent_frames, track.statistics.muted_frames) == (0, 5)
        with pytest.raises(roomtone.CommandRefused):
            await bob.open_track()
        await mo.moderate("promote", "bob")
        await until(lambda: bob.participants["bob"].role == "speaker")
        track.write(chirp(0.02))
        assert (await anext(packets)).track == track.id


async def test_written_pcm_is_framed_and_numbered() -> None:
    """write() takes pieces of any length and sends whole frames with consecutive numbers and times."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        local = await ada.open_track(codec="pcm_24k", sample_rate_hz=24_000)
        packets = (await bob.next_track(DEADLINE_S)).packets()
        said = chirp(0.1, 24_000)
        for at in range(0, len(said), 700):
            local.write(said[at : at + 700].tobytes())
        got = [await anext(packets) for _ in range(5)]
        assert [(packet.sequence - got[0].sequence) % 65_536 for packet in got] == [0, 1, 2, 3, 4]
        assert [(packet.timestamp - got[0].timestamp) % 2**32 for packet in got] == [0, 960, 1920, 2880, 3840]
        assert got[0].codec is Codec.PCM_24K
        assert b"".join(packet.payload for packet in got) == said.tobytes()
        assert got[0].voice
        with pytest.raises(ValueError, match="int16"):
            local.write(np.zeros(960, np.int32))  # type: ignore[arg-type]
        await local.close()
        with pytest.raises(roomtone.NotInRoom):
            local.write(said)


async def test_an_unreadable_source_is_an_error_of_publish() -> None:
    """A missing file fails before any track is opened, and nobody sees one."""
    async with serving() as server, joining(server, "ada") as ada:
        with pytest.raises(roomtone.SourceError, match="does not exist") as missing:
            await ada.publish("/nowhere/at/all.flac")
        assert missing.value.fault == "missing"
        with pytest.raises(roomtone.RoomtoneError, match="playlist is empty"):
            await ada.publish([])
        assert ada.local_tracks == []
        with pytest.raises(ValueError, match="codec is one of"):
            await ada.publish(pcm_chunks(chirp(0.1)), codec="mp3")


async def test_an_iterator_that_fails_is_told_by_wait() -> None:
    """The caller's own exception comes out of wait(), and the room goes on."""

    async def broken() -> object:
        yield np.zeros(960, np.int16)
        raise RuntimeError("the synthesiser is out of breath")

    async with serving() as server, joining(server, "ada") as ada:
        track = await ada.publish(broken())  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="out of breath"):
            await track.wait()
        await ada.send("still here")


@both_transports
async def test_data_messages_reach_the_room_and_the_named(memory: bool) -> None:
    """send() returns when the server has it; `to` narrows it."""
    async with (
        serving() as server,
        joining(server, "ada", memory=memory) as ada,
        joining(server, "bob", memory=memory) as bob,
        joining(server, "eve", memory=memory) as eve,
    ):
        at_bob, at_eve = bob.events(), eve.events()
        await ada.send({"n": 1}, topic="t", to=["bob"])
        await ada.send({"n": 2})
        told = [event async for event in _take(at_bob, roomtone.RoomMessage, 2)]
        assert [(event.sender, event.topic, event.data) for event in told] == [
            ("ada", "t", {"n": 1}),
            ("ada", "", {"n": 2}),
        ]
        only = [event async for event in _take(at_eve, roomtone.RoomMessage, 1)]
        assert only[0].data == {"n": 2}


async def test_others_come_change_and_go() -> None:
    """participants follows the events, whose fields are typed."""
    async with serving() as server, joining(server, "ada") as ada:
        events = ada.events()
        async with joining(server, "bob", name="Bob") as bob:
            await bob.set_state(attributes={"mood": "fine"})
            await bob.raise_hand()
            changed = await anext(_take(events, roomtone.ParticipantUpdated, 1))
            assert changed.participant.attributes == {"mood": "fine"}
            await until(lambda: ada.participants["bob"].hand_raised)
            assert ada.participants["bob"].name == "Bob"
        left = await anext(_take(events, roomtone.ParticipantLeft, 1))
        assert left.reason == "left"
        assert set(ada.participants) == {"ada"}


async def test_a_refused_command_says_why() -> None:
    """Without the publish grant a track is refused, with a code for programs; the session goes on."""
    async with serving() as server, joining(server, "ada", grants={"publish": False}) as ada:
        with pytest.raises(roomtone.CommandRefused) as refused:
            await ada.open_track()
        assert refused.value.code == "not_permitted"
        with pytest.raises(roomtone.CommandRefused) as refused:
            await ada.moderate("remove", "nobody")
        assert refused.value.code == "not_permitted"
        with pytest.raises(ValueError, match="limit"):
            await ada.subscribe("speakers", limit=1_000)
        await ada.send("hello")


async def test_a_moderator_mutes_and_removes() -> None:
    """A muted track falls silent at its source; a removed client gets Removed from wherever it waits."""
    grants = {"moderate": True}
    async with serving() as server, joining(server, "mo", grants=grants) as mo, joining(server, "bob") as bob:
        track = await bob.open_track()
        heard = await mo.next_track(DEADLINE_S)
        await mo.moderate("mute", "bob")
        await until(lambda: track.muted_by_moderator and heard.muted)
        before = mo.statistics.received_frames
        track.write(chirp(0.2))
        assert track.statistics.muted_frames == 10
        await mo.moderate("unmute", "bob")
        await until(lambda: not track.muted_by_moderator)
        track.write(chirp(0.1))
        await until(lambda: mo.statistics.received_frames == before + 5)
        await mo.moderate("remove", "bob")
        with pytest.raises(roomtone.Removed):
            await bob.wait_closed()
        assert bob.state == "closed"
        with pytest.raises(roomtone.Removed):
            await bob.next_track()
        with pytest.raises(roomtone.NotInRoom):
            await bob.send("too late")


async def test_mute_sends_nothing_and_keeps_the_time() -> None:
    """While muted no frame leaves; afterwards the timestamps have gone on, the sequence numbers have not."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        local = await ada.open_track()
        remote = await bob.next_track(DEADLINE_S)
        packets = remote.packets()
        local.write(chirp(0.02))
        await local.mute()
        await until(lambda: remote.muted)
        local.write(chirp(0.1))
        await local.unmute()
        local.write(chirp(0.02))
        first, second = await anext(packets), await anext(packets)
        assert (second.sequence - first.sequence) % 65_536 == 1
        assert (second.timestamp - first.timestamp) % 2**32 >= 6 * 960
        assert local.statistics.muted_frames == 5
        await ada.mute()
        assert local.muted
        await ada.mute(False)
        await until(lambda: not remote.muted)


async def test_flush_takes_back_what_was_not_heard() -> None:
    """After flush() the listener's buffer, the server's queues and the pacer hold nothing of before."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        local = await ada.publish(pcm_chunks(chirp(5.0)))
        remote = await bob.next_track(DEADLINE_S)
        told = bob.events()
        heard = await hear(remote, 0.3)
        assert np.abs(heard).max() > 1_000
        assert await local.flush() > 100
        flushed = await anext(_take(told, TrackFlushed, 1))
        assert flushed.track == local.id
        await local.close()
        with pytest.raises(StopAsyncIteration):
            await anext(remote.packets())


async def test_duck_lowers_the_listeners_volume() -> None:
    """A ducked track goes on, more softly, after its ramp."""
    tone = np.tile(chirp(0.02, low_hz=500, high_hz=500), 60)
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        local = await ada.publish(pcm_chunks(tone))
        remote = await bob.next_track(DEADLINE_S)
        frames = remote.frames()
        loud = [(await anext(frames)).pcm for _ in range(20)][-1]
        await local.duck(-20, 20)
        soft = [(await anext(frames)).pcm for _ in range(12)][-1]
        ratio = _rms(soft) / _rms(loud)
        assert 0.05 < ratio < 0.2


async def test_playout_reports_reach_the_owner() -> None:
    """A track that asks for them hears what was heard: timestamps that go on, of its own time line."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        events = ada.events()
        local = await ada.publish(pcm_chunks(chirp(1.0)), playout_interval_ms=100)
        remote = await bob.next_track(DEADLINE_S)
        remote.output_latency_ms = 12
        packets = remote.packets()
        await hear(remote, 0.8)
        start = (await anext(packets)).timestamp
        reports = [event async for event in _take(events, Playout, 4)]
        assert all(report.track == local.id for report in reports)
        assert reports[-1].participant_id == bob.participant_id
        assert reports[-1].output_latency_ms == 12
        positions = [(report.timestamp - start + 2**31) % 2**32 - 2**31 for report in reports]
        assert positions == sorted(positions)
        assert 0 < positions[-1] < 48_000


async def test_the_mix_holds_everybody() -> None:
    """mix() follows tracks that come and go, and is as long as the time it ran."""
    async with (
        serving() as server,
        joining(server, "ada") as ada,
        joining(server, "bob") as bob,
        joining(server, "eve") as eve,
    ):
        mixed = eve.mix(frame_ms=20)
        await ada.publish(pcm_chunks(chirp(0.8, low_hz=400, high_hz=400)))
        await bob.publish(pcm_chunks(chirp(0.8, low_hz=1_500, high_hz=1_500)))
        frames = [(await anext(mixed)).pcm for _ in range(40)]
        pcm = np.concatenate(frames)
        assert len(pcm) == 40 * 960
        spectrum = np.abs(np.fft.rfft(pcm[-19_200:].astype(np.float64)))
        peaks = set(np.argsort(spectrum)[-2:] * 48_000 / 19_200)
        assert peaks == {400.0, 1_500.0}
        await eve.leave()
        rest = [frame async for frame in mixed]
        assert len(rest) < 20


async def test_a_slow_consumer_is_bounded() -> None:
    """Who reads too late gets the newest, a bounded part of it, and is told how much was lost."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        local = await ada.open_track()
        remote = await bob.next_track(DEADLINE_S)
        packets, events, frames = remote.packets(), bob.events(), remote.frames()
        await anext(frames)
        for _ in range(30):
            local._write_limit = WriteLimit()  # as if time had passed
            local.write(chirp(0.4))
            await ada.send("tick")
        await until(lambda: bob.statistics.received_frames + ada.statistics.dropped_frames == 600)
        received = bob.statistics.received_frames
        assert packets.dropped == max(0, received - 512)
        assert events.dropped == 0
        frames._cadence._ticks -= 100  # as if two seconds had passed
        await anext(frames)
        assert frames.skipped_frames >= 85
        assert frames.statistics.buffered_ms <= 2_100


async def test_iterators_end_with_the_room() -> None:
    """After a leave everything that iterates ends, and the state says so."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        local = await ada.open_track()
        local.write(chirp(0.1))
        remote = await bob.next_track(DEADLINE_S)
        events, packets, frames = bob.events(), remote.packets(), remote.frames()
        await bob.leave()
        await bob.leave()
        assert bob.state == "closed"
        rest = [event async for event in events]
        assert rest[-1] == roomtone.StateChanged("closed")
        _ = [packet async for packet in packets]
        _ = [frame async for frame in frames]
        assert [packet async for packet in remote.packets()] == []
        assert [event async for event in bob.events()] == []
        with pytest.raises(roomtone.NotInRoom):
            await bob.next_track()
        await bob.wait_closed()


async def test_waiting_has_a_deadline() -> None:
    """next_track and wait_for give up when they are told to."""
    async with serving() as server, joining(server, "ada") as ada:
        with pytest.raises(TimeoutError):
            await ada.next_track(0.01)
        with pytest.raises(TimeoutError):
            await ada.wait_for(roomtone.RoomMessage, timeout=0.01)


async def test_waiting_begins_at_the_call() -> None:
    """An event between the call of wait_for and its await is not missed, nor is what ended the room meanwhile."""
    async with serving() as server, joining(server, "ada") as ada:
        waiting = ada.wait_for(roomtone.RoomMessage, lambda event: event.data == 2, timeout=DEADLINE_S)
        odd = ada.wait_for(roomtone.RoomMessage, lambda event: event.data["no"])
        never = ada.wait_for(roomtone.Draining)
        async with joining(server, "bob") as bob:
            seen = bob.wait_for(roomtone.RoomMessage)
            await bob.send(1)
            await bob.send(2)
            await ada.send("all were told")
            assert (await seen).data == "all were told"
        assert (await waiting).sender == "bob"
        assert await waiting is await waiting
        with pytest.raises(TypeError):
            await odd
        await ada.leave()
        for wait in (never, ada.wait_for(roomtone.Draining)):
            with pytest.raises(roomtone.NotInRoom):
                await wait
        with pytest.raises(TimeoutError, match="no Draining within"):
            await _waited_in_vain(server)


async def _waited_in_vain(server: Server) -> None:
    async with joining(server, "eve") as eve:
        waiting = eve.wait_for(roomtone.Draining, timeout=0.01)
        with contextlib.suppress(TimeoutError):
            await waiting
        await waiting  # a second time, for as long again


async def test_a_room_that_was_not_joined_tells_so() -> None:
    """Whatever is asked of it raises NotInRoom; nothing waits for ever."""
    async with serving() as server:
        room = joining(server, "ada")
        calls: list[Callable[[], object]] = [
            room.events,
            room.mix,
            lambda: room.wait_for(roomtone.Draining),
            lambda: room.statistics,
        ]
        for call in calls:
            with pytest.raises(roomtone.NotInRoom, match="not joined yet"):
                call()
        for waits in (room.next_track(), room.wait_closed(), room.mute(), room.publish([]), room.open_track()):
            with pytest.raises(roomtone.NotInRoom, match="not joined yet"):
                await waits


async def test_subscribing_to_nothing_silences() -> None:
    """`tracks` with an empty list stops the audio, `all` brings it back."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        local = await ada.open_track()
        await bob.next_track(DEADLINE_S)
        await bob.subscribe("tracks", tracks=[])
        local.write(chirp(0.1))
        await ada.send("after")
        await bob.subscribe("all")
        assert bob.statistics.received_frames == 0
        local.write(chirp(0.1))
        await until(lambda: bob.statistics.received_frames == 5)


async def test_a_room_is_entered_once() -> None:
    """A second join is a mistake of the caller, and so is asking anything before the first."""
    async with serving() as server:
        room = joining(server, "ada")
        with pytest.raises(roomtone.NotInRoom):
            await room.send("early")
        await room.leave()
        async with room:
            with pytest.raises(RuntimeError):
                await room.join()


@pytest.mark.parametrize("interval_ms", [0, 100])
async def test_an_abandoned_iterator_costs_nothing(interval_ms: int) -> None:
    """A frames() loop that was broken out of leaves no jitter buffer behind."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        await ada.publish(pcm_chunks(chirp(1.0)), playout_interval_ms=interval_ms)
        remote = await bob.next_track(DEADLINE_S)
        await hear(remote, 0.1)
        assert len(remote._playouts) == 0
        cut(bob)
        await until(lambda: bob.state == "joined" and bob.statistics.reconnects == 1)


async def test_statistics_outlive_the_listening() -> None:
    """After a break out of `async for` the track still tells what was heard, until somebody listens again."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        await ada.publish(pcm_chunks(chirp(1.0)))
        remote = await bob.next_track(DEADLINE_S)
        assert remote.statistics is None
        async for _ in remote.frames(frame_ms=10):
            now = remote.statistics
            if now is not None and now.emitted_samples:
                break
        last = remote.statistics
        assert last is not None
        assert last.emitted_samples >= now.emitted_samples > 0
        again = remote.frames()
        assert remote.statistics == again.statistics
        assert again.statistics.emitted_samples == 0


@pytest.mark.parametrize(
    "wrong",
    [(44_100, 15), (3_999, 20), (192_001, 20), (48_000, 0), (48_000, 1_010), (48_000, 20, 3), (48_000, 12.5)],
    ids=str,
)
async def test_arguments_of_listening_are_checked_at_the_call(wrong: tuple[int, ...]) -> None:
    """A rate, a length or a number of channels that cannot be had is a ValueError before anything is awaited."""
    rate_hz, frame_ms, channels = (*wrong, 1)[:3]
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        await ada.open_track()
        remote = await bob.next_track(DEADLINE_S)
        for listen in (bob.mix, remote.frames, remote.playout):
            with pytest.raises(ValueError, match=r"is \d|channels"):
                listen(rate_hz, frame_ms, channels=channels)


def _rms(pcm: Pcm) -> float:
    return float(np.sqrt(np.mean(pcm.astype(np.float64) ** 2)))


async def _take(events, kind, count):  # type: ignore[no-untyped-def]
    async with asyncio.timeout(DEADLINE_S):
        async for event in events:
            if isinstance(event, kind):
                yield event
                count -= 1
                if not count:
                    return


async def test_a_pause_between_writes_is_a_pause() -> None:
    """Time goes on while nobody writes: the next frame's timestamp tells it, and begins a talkspurt."""
    async with serving() as server, joining(server, "ada") as ada, joining(server, "bob") as bob:
        local = await ada.open_track()
        packets = (await bob.next_track(DEADLINE_S)).packets()
        local.write(chirp(0.04))
        await asyncio.sleep(0.3)
        local.write(chirp(0.02))
        first, second, third = [await anext(packets) for _ in range(3)]
        assert (second.timestamp - first.timestamp) % 2**32 == 960
        assert (third.timestamp - second.timestamp) % 2**32 > 960 + 48 * 200
        assert [bool(packet.flags & FLAG_TALKSPURT_START) for packet in (first, second, third)] == [True, False, True]
        told = bob.events()
        local.end_talkspurt()
        assert (await anext(_take(told, AudioEnded, 1))).track == local.id
