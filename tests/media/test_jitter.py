from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.media.codec import make_decoder
from roomtone.media.delay import LOSSY, WEBSOCKET, JitterSettings, fixed
from roomtone.media.jitter import JitterBuffer
from roomtone.media.opus import OpusDecoder, OpusEncoder
from roomtone.media.packet import (
    FLAG_DISCONTINUITY,
    FLAG_TALKSPURT_END,
    FLAG_TALKSPURT_START,
    Codec,
    Packet,
)
from tests.sim.network import DatagramNetwork, GilbertElliottNetwork, Network, StreamNetwork, arrivals

Pcm = npt.NDArray[np.int16]
SAMPLE = Path(__file__).resolve().parents[2] / "src" / "roomtone" / "assets" / "sample.flac"
FRAME = 960
END = FLAG_TALKSPURT_END
START = FLAG_TALKSPURT_START


def hum(first: int, samples: int, rate_hz: int = 48_000) -> Pcm:
    """A vowel of 150 Hz, samples first.. of it."""
    at = np.arange(first, first + samples) / rate_hz
    return (sum(np.sin(2 * np.pi * 150 * k * at + k) / k for k in range(1, 6)) * 6_000).astype(np.int16)


def packet(index: int, *, flags: int = 0, sequence: int = 0, timestamp: int = 0, frame: int = FRAME) -> Packet:
    """Frame number `index` of the hum, in PCM."""
    return Packet(
        1,
        (sequence + index) & 0xFFFF,
        (timestamp + index * frame) & 0xFFFF_FFFF,
        hum(index * frame, frame).tobytes(),
        codec=Codec.PCM_48K,
        flags=flags,
    )


def pcm_buffer(settings: JitterSettings = WEBSOCKET, **options: int) -> JitterBuffer:
    return JitterBuffer(settings, make_decoder(Codec.PCM_48K, 1, 48_000), **options)  # type: ignore[arg-type]


def listen(
    buffer: JitterBuffer,
    packets: Iterable[tuple[float, Packet]],
    seconds: float,
    *,
    start: float = 0.0,
    pull: float = 0.01,
) -> Pcm:
    """Push at the times given, pop in between, and return all that was heard."""
    waiting = list(packets)
    heard = []
    for number in range(1, round(seconds / pull) + 1):
        now = start + number * pull
        while waiting and waiting[0][0] <= now:
            buffer.push(waiting[0][1], waiting[0][0])
            waiting.pop(0)
        heard.append(buffer.pop(now))
    return np.concatenate(heard)


def sent(network: Network, seconds: float, **options: int) -> list[tuple[float, Packet]]:
    times = [index * 0.02 for index in range(int(seconds * 50))]
    return [(arrival.now, packet(arrival.index, **options)) for arrival in arrivals(network, times)]


def largest_step(sound: Pcm) -> int:
    return int(np.abs(np.diff(sound.astype(np.int32))).max())


HUM_STEP = largest_step(hum(0, 48_000))


@pytest.mark.parametrize("pull_ms", [10, 20])
@pytest.mark.parametrize("frame_ms", [2.5, 5, 10, 20, 40, 60])
def test_a_clean_stream_comes_out_as_it_went_in(frame_ms: float, pull_ms: int) -> None:
    """After a start-up silence every sample is there, in order, whatever the frames' length."""
    frame = int(48 * frame_ms)
    buffer = pcm_buffer(fixed(80.0), pull_ms=pull_ms)
    count = int(3_000 / frame_ms)
    packets = [(index * frame / 48_000, packet(index, frame=frame)) for index in range(count)]
    heard = listen(buffer, packets, 2.0, pull=pull_ms / 1000)
    statistics = buffer.statistics
    assert statistics.concealed_samples == statistics.underruns == statistics.stretched_samples == 0
    first = first_sound(heard)
    assert first <= 48 * (80 + 60 + pull_ms)
    assert np.array_equal(heard[first + 1_000 :], hum(1_000, len(heard) - first - 1_000))


def test_silence_before_the_first_packet_and_after_the_last_talkspurt() -> None:
    """Nothing to say is neither an underrun nor concealed."""
    buffer = pcm_buffer()
    assert not listen(buffer, [], 1.0).any()
    spurt = [(1.0 + index * 0.02, packet(index, flags=END * (index == 49))) for index in range(50)]
    heard = listen(buffer, spurt, 3.0, start=1.0)
    assert heard[:48_000].any()
    assert not heard[-48_000:].any()
    statistics = buffer.statistics
    assert statistics.underruns == statistics.concealed_samples == 0
    assert largest_step(heard) <= HUM_STEP * 1.5


@pytest.mark.parametrize("pull_ms", [10, 20])
@pytest.mark.parametrize("phase_ms", [0.1, 2.0, 4.0, 5.9, 6.1, 8.0, 9.9, 13.0, 18.0])
def test_a_fixed_buffer_begins_at_the_pull_nearest_to_its_depth(phase_ms: float, pull_ms: int) -> None:
    """Wherever the pulls lie between the arrivals, the delay is the depth, and no pull longer than the least."""
    buffer = pcm_buffer(fixed(20.0), pull_ms=pull_ms)
    packets = [(phase_ms / 1000 + index * 0.02, packet(index)) for index in range(100)]
    listen(buffer, packets, 1.9, pull=pull_ms / 1000)
    statistics = buffer.statistics
    early = 0.55 * pull_ms
    assert 20.0 - early <= statistics.depth_ms <= 20.0 - early + pull_ms
    assert statistics.concealed_samples == statistics.underruns == statistics.stretched_samples == 0


def test_a_fixed_buffer_that_began_too_deep_mends_it_in_the_first_pause() -> None:
    """A first packet that was slow is no reason to stay behind."""
    buffer = pcm_buffer(fixed(10.0))
    silence = bytes(2 * FRAME)
    packets = [(0.001 + index * 0.02 + 0.009 * (index == 0), packet(index)) for index in range(100)]
    for index in range(40, 60):
        packets[index] = packets[index][0], Packet(1, index, index * FRAME, silence, codec=Codec.PCM_48K)
    listen(buffer, packets[:40], 0.8)
    assert buffer.statistics.depth_ms == pytest.approx(19.0)
    listen(buffer, packets[40:], 1.2, start=0.8)
    assert 4.5 <= buffer.statistics.depth_ms <= 14.5
    assert buffer.statistics.concealed_samples == 0


def test_reordered_packets_are_played_in_order() -> None:
    """Jitter that reorders, below the depth, changes nothing in what is heard."""
    buffer = pcm_buffer(fixed(80.0))
    heard = listen(buffer, sent(DatagramNetwork(1, jitter_ms=60), 3.0), 2.5)
    statistics = buffer.statistics
    assert statistics.late == statistics.concealed_samples == statistics.stretched_samples == 0
    assert np.array_equal(heard[24_000:], hum(24_000 - first_sound(heard), len(heard) - 24_000))


def first_sound(heard: Pcm) -> int:
    """Where the stream begins in what is heard: the first packet is faded in over 5 ms of silence."""
    wave = hum(0, 4_000)[1_000:1_100]
    return next(at for at in range(len(heard)) if np.array_equal(heard[at : at + 100], wave)) - 1_000


def test_loss_is_concealed_and_counted() -> None:
    """A lost frame is bridged with as much invented sound, and the rest keeps its place."""
    buffer = pcm_buffer(fixed(40.0))
    packets = [(index * 0.02, packet(index)) for index in range(100) if index != 50]
    heard = listen(buffer, packets, 1.9)
    statistics = buffer.statistics
    assert statistics.lost == 1
    assert statistics.concealed_samples == 960
    assert largest_step(heard) <= HUM_STEP * 1.6
    first = first_sound(heard)
    assert np.array_equal(heard[60_000:80_000], hum(60_000 - first, 20_000))


def opus_packets(count: int) -> list[bytes]:
    """Speech, for what does not sound like it gets no FEC."""
    encoder = OpusEncoder(48_000, 1, bitrate_bps=24_000, inband_fec=True, expected_loss_percent=20)
    resampler = av.AudioResampler("s16", "mono", 48_000)
    with av.open(str(SAMPLE)) as container:
        frames = (out for frame in container.decode(audio=0) for out in resampler.resample(frame))
        sound = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    return [encoder.encode(sound[at : at + FRAME]) for at in range(0, count * FRAME, FRAME)]


def test_a_lost_packet_comes_back_from_the_next_one() -> None:
    """With room for one more frame, single losses are recovered by FEC and not concealed."""
    payloads = opus_packets(500)
    buffer = JitterBuffer(LOSSY, OpusDecoder(48_000, 1))
    packets = [
        (index * 0.02, Packet(1, index, index * FRAME, payload))
        for index, payload in enumerate(payloads)
        if index % 10 != 5 or index < 20
    ]
    listen(buffer, packets, 9.9)
    statistics = buffer.statistics
    assert statistics.fec_recovered >= 30
    assert statistics.lost + statistics.fec_recovered == 47
    assert statistics.concealed_samples <= statistics.lost * FRAME
    assert statistics.target_ms >= 20.0


def test_websocket_settings_do_not_wait_for_a_gap() -> None:
    """A dropped packet is concealed at once; the depth does not grow."""
    buffer = pcm_buffer(WEBSOCKET)
    packets = [(index * 0.02, packet(index)) for index in range(500) if index % 20]
    listen(buffer, packets, 9.5)
    statistics = buffer.statistics
    assert 20 <= statistics.lost <= 24
    assert statistics.concealed_samples <= statistics.lost * FRAME
    assert statistics.depth_ms < 40.0


def test_a_stall_is_caught_up_with_by_stretching() -> None:
    """300 ms without data: nothing is thrown away, and the depth is back within 3 s, without a click."""
    buffer = pcm_buffer(WEBSOCKET)
    packets = sent(StreamNetwork(1, [(5.0, 5.3)]), 10.0)
    listen(buffer, packets, 4.9)
    before = buffer.statistics
    heard = listen(buffer, [p for p in packets if p[0] > 4.9], 3.4, start=4.9)
    after = buffer.statistics
    assert after.depth_ms <= before.depth_ms + 40.0
    assert after.underruns - before.underruns == 1
    assert after.accelerated_samples - before.accelerated_samples > 200 * 48
    assert after.dropped == after.late == after.lost == 0
    assert largest_step(heard) <= HUM_STEP * 1.6


def test_a_long_outage_fades_to_silence() -> None:
    """Invented sound ends after 160 ms; the decoder is not asked any more."""
    buffer = pcm_buffer(WEBSOCKET)
    heard = listen(buffer, [(index * 0.02, packet(index)) for index in range(50)], 3.0)
    statistics = buffer.statistics
    assert statistics.underruns == 1
    assert statistics.silent_concealed_samples > 48_000
    assert not heard[-48_000:].any()
    assert largest_step(heard) <= HUM_STEP * 1.5


def test_music_changes_its_length_by_less_than_one_percent() -> None:
    """Content music is resampled: after a stall it is up to 1 % faster, and never cut."""
    buffer = JitterBuffer(WEBSOCKET, make_decoder(Codec.PCM_48K, 1, 48_000), content="music")
    packets = sent(StreamNetwork(1, [(3.0, 3.2)]), 14.0)
    listen(buffer, packets, 3.5)
    before = buffer.statistics
    listen(buffer, [p for p in packets if p[0] > 3.5], 10.0, start=3.5)
    change = buffer.statistics.accelerated_samples - before.accelerated_samples
    assert 0 < change <= 4_800 * 1.01


def test_the_numbers_may_wrap() -> None:
    """Sequence numbers over 65535 and timestamps over 2**32 go on."""
    buffer = pcm_buffer(LOSSY)
    network = DatagramNetwork(1, jitter_ms=30)
    listen(buffer, sent(network, 4.0, sequence=65_500, timestamp=2**32 - 50_000), 3.5)
    statistics = buffer.statistics
    assert statistics.dropped == statistics.lost == 0
    assert statistics.underruns <= 2
    assert buffer.playout_timestamp < 4 * 48_000


def test_a_jump_of_the_numbers_is_a_new_stream_and_not_a_thousand_losses() -> None:
    """One stray packet is dropped; two in a row are a new stream, which starts at once."""
    buffer = pcm_buffer()
    listen(buffer, [(index * 0.02, packet(index)) for index in range(50)], 1.0)
    buffer.push(packet(0, sequence=30_000, timestamp=2**31), 1.0)
    assert buffer.statistics.dropped == 1
    packets = [(1.0 + index * 0.02, packet(index, sequence=40_000, timestamp=2**30)) for index in range(100)]
    heard = listen(buffer, packets, 1.5, start=1.0)
    statistics = buffer.statistics
    assert statistics.lost < 5
    assert statistics.concealed_samples < 4_800
    assert heard[-9_600:].any()
    assert largest_step(heard) <= HUM_STEP * 1.6


def test_garbage_is_concealed() -> None:
    """Payloads that no decoder takes are counted and filled; the buffer goes on."""
    buffer = JitterBuffer(LOSSY, OpusDecoder(48_000, 1))
    payloads = opus_packets(100)
    payloads[50] = b"\xff\xff\xff"
    payloads[51] = b"\x03"
    listen(buffer, [(i * 0.02, Packet(1, i, i * FRAME, p)) for i, p in enumerate(payloads)], 1.9)
    statistics = buffer.statistics
    assert statistics.garbage == 2
    assert 0 < statistics.concealed_samples <= 3 * FRAME


def test_duplicates_and_late_packets_are_counted_and_not_played() -> None:
    """A packet that is there already, or whose place was played, changes nothing."""
    buffer = pcm_buffer(fixed(40.0))
    packets = [(index * 0.02, packet(index)) for index in range(60)]
    packets += [(0.5, packet(24)), (0.51, packet(24)), (1.1, packet(30))]
    packets = [p for p in packets if p != (0.4, packet(20))] + [(0.9, packet(20))]
    packets.sort(key=lambda item: item[0])
    listen(buffer, packets, 1.1)
    statistics = buffer.statistics
    assert statistics.duplicates == 3
    assert statistics.late == 1
    assert statistics.lost == 1


def test_memory_is_bounded() -> None:
    """A sender that floods, or a player that never pulls, costs two seconds at most."""
    buffer = pcm_buffer()
    for index in range(1_000):
        buffer.push(packet(index), index * 0.02)
    statistics = buffer.statistics
    assert statistics.dropped == 900
    assert statistics.buffered_ms <= 2_000.0
    heard = listen(buffer, [], 0.5, start=20.0)
    assert heard.any()


def test_a_flush_throws_away_what_is_older_at_once() -> None:
    """After a flush only silence is heard until the named packet, which starts a talkspurt."""
    buffer = pcm_buffer(fixed(100.0))
    heard = listen(buffer, [(index * 0.02, packet(index)) for index in range(50)], 1.0)
    assert heard[-480:].any()
    buffer.flush(80, 1.0)
    gone = listen(buffer, [(1.0, packet(51)), (1.05, packet(52))], 0.2, start=1.0)
    assert not gone[480:].any()
    assert largest_step(np.concatenate((heard[-480:], gone))) <= HUM_STEP * 1.5
    packets = [(1.2 + n * 0.02, packet(80 + n, flags=START * (n == 0))) for n in range(50)]
    again = listen(buffer, packets, 0.9, start=1.2)
    assert again[-24_000:].any()
    statistics = buffer.statistics
    assert statistics.late == 2
    assert statistics.lost == statistics.concealed_samples == statistics.underruns == 0


def test_a_discontinuity_is_jumped_over() -> None:
    """The server dropped 40 frames after a stall: they are not invented."""
    buffer = pcm_buffer()
    packets = [(index * 0.02, packet(index)) for index in range(100)]
    packets += [(2.8 + max(0, n - 2) * 0.02, packet(138 + n, flags=FLAG_DISCONTINUITY * (n == 0))) for n in range(100)]
    listen(buffer, packets, 4.5)
    statistics = buffer.statistics
    assert statistics.lost == 38
    assert statistics.concealed_samples <= 48 * 850
    assert statistics.depth_ms < 100.0


def test_pauses_between_dtx_packets_are_not_underruns() -> None:
    """After a packet of one byte the next may be 400 ms away."""
    encoder = OpusEncoder(48_000, 1, dtx=True)
    sound = np.concatenate((hum(0, 96_000), np.zeros(96_000, np.int16), hum(0, 48_000)))
    buffer = JitterBuffer(WEBSOCKET, OpusDecoder(48_000, 1))
    packets = []
    sequence = 0
    silent = False
    for index in range(len(sound) // FRAME):
        payload = encoder.encode(sound[index * FRAME : (index + 1) * FRAME])
        if len(payload) <= 2 and silent:
            continue
        silent = len(payload) <= 2
        packets.append((index * 0.02, Packet(1, sequence, index * FRAME, payload)))
        sequence += 1
    assert len(packets) < 200
    listen(buffer, packets, 4.9)
    statistics = buffer.statistics
    assert statistics.underruns == 0
    assert statistics.concealed_samples == 0


def test_the_playout_timestamp_is_that_of_the_next_sample() -> None:
    """With nothing stretched, the sound popped next is the sound that was stamped so."""
    buffer = pcm_buffer(fixed(20.0))
    for number in range(1, 100):
        now = number * 0.01
        if number % 2 == 0:
            buffer.push(packet(number // 2), now)
        stamp = buffer.playout_timestamp
        heard = buffer.pop(now)
        if number > 20:
            assert np.array_equal(heard, hum(stamp, 480))


def test_stereo_keeps_its_shape() -> None:
    """Two channels come out as `samples x 2`."""
    buffer = JitterBuffer(WEBSOCKET, make_decoder(Codec.PCM_24K, 2, 48_000), channels=2)
    wave = np.repeat(hum(0, 48_000, 24_000)[:, None], 2, axis=1)
    packets = [
        (i * 0.02, Packet(1, i, i * FRAME, wave[i * 480 : (i + 1) * 480].tobytes(), codec=Codec.PCM_24K))
        for i in range(100)
    ]
    heard = listen(buffer, packets, 1.5)
    assert heard.shape == (72_000, 2)
    assert heard.any()
    assert buffer.statistics.concealed_samples == 0


def test_reset_forgets_the_stream() -> None:
    """A reset buffer is as a new one, but for its totals."""
    buffer = pcm_buffer()
    listen(buffer, [(index * 0.02, packet(index)) for index in range(50)], 1.0)
    buffer.reset()
    assert not listen(buffer, [], 0.1, start=1.0)[480:].any()
    heard = listen(buffer, [(2.0 + n * 0.02, packet(n, sequence=9, timestamp=77)) for n in range(50)], 1.0, start=2.0)
    assert heard.any()
    assert buffer.statistics.underruns == 0


@pytest.mark.parametrize("wrong", [{"pull_ms": 15}, {"channels": 3}, {"sample_rate_hz": 44_101}, {"sample_rate_hz": 0}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, int]) -> None:
    """The caller's mistake is a ValueError."""
    with pytest.raises(ValueError):
        pcm_buffer(**wrong)


@pytest.mark.parametrize("ppm", [-500.0, 500.0])
def test_a_clock_that_drifts_is_followed(ppm: float) -> None:
    """A minute at 500 ppm, 30 ms in all: the depth stays, nothing runs dry."""
    buffer = pcm_buffer()
    step = 0.02 / (1 + ppm * 1e-6)
    packets = [(index * step, packet(index)) for index in range(3_000)]
    listen(buffer, packets, 10.0)
    before = buffer.statistics
    listen(buffer, [p for p in packets if p[0] > 10.0], 49.0, start=10.0)
    after = buffer.statistics
    assert after.underruns == before.underruns
    assert after.concealed_samples == before.concealed_samples
    assert after.depth_ms <= 40.0


NETWORKS = st.sampled_from(
    [
        lambda seed: DatagramNetwork(seed, jitter_ms=120, loss=0.3),
        lambda seed: GilbertElliottNetwork(seed, to_bad=0.1, to_good=0.2, jitter_ms=40),
        lambda seed: StreamNetwork(seed, [(0.5, 1.4), (1.6, 1.7), (2.0, 9.0)], jitter_ms=30),
    ]
)


@settings(max_examples=40, deadline=None)
@given(
    NETWORKS,
    st.integers(0, 2**32 - 1),
    st.sampled_from([WEBSOCKET, LOSSY, fixed(10.0), fixed(200.0)]),
    st.sampled_from([10, 20]),
    st.sampled_from(["voice", "music"]),
)
def test_whatever_the_network_does_sound_comes_out_in_time(
    network: object, seed: int, preset: JitterSettings, pull_ms: int, content: str
) -> None:
    """Any flags, frame lengths, jumps, flushes, garbage: every pull gives its samples, the counts add up."""
    chance = random.Random(seed)
    decoder = make_decoder(Codec.PCM_48K, 1, 48_000)
    buffer = JitterBuffer(preset, decoder, pull_ms=pull_ms, content=content)  # type: ignore[arg-type]
    packets = []
    sequence, timestamp = chance.randrange(1 << 16), chance.randrange(1 << 32)
    times = [index * 0.02 for index in range(150)]
    for arrival in arrivals(network(seed), times):  # type: ignore[operator]
        index = arrival.index
        if chance.random() < 0.02:
            sequence, timestamp = chance.randrange(1 << 16), chance.randrange(1 << 32)
        payload = hum(0, chance.choice([120, 480, 960, 2880])).tobytes()
        if chance.random() < 0.05:
            payload = chance.randbytes(chance.randrange(1, 50))
        flags = chance.choice([0, 0, 0, 0, 0, 0, START, END, FLAG_DISCONTINUITY, 15])
        stamp = (timestamp + index * FRAME) & 0xFFFF_FFFF
        one = Packet(1, (sequence + index) & 0xFFFF, stamp, payload, codec=Codec.PCM_48K, flags=flags)
        packets.append((arrival.now, one))
    received = 0
    for number in range(1, 400):
        now = number * 0.01
        while packets and packets[0][0] <= now:
            buffer.push(packets[0][1], packets[0][0])
            packets.pop(0)
            received += 1
        if chance.random() < 0.02:
            buffer.flush(chance.randrange(1 << 16), now)
        assert len(buffer.pop(now)) == 48 * pull_ms
        assert 0 <= buffer.playout_timestamp < 1 << 32
    statistics = buffer.statistics
    assert statistics.received == received
    assert statistics.late + statistics.dropped + statistics.duplicates + statistics.garbage <= received
    assert statistics.emitted_samples + statistics.concealed_samples <= (399 + 200) * 480 * pull_ms // 10
    assert statistics.silent_concealed_samples <= statistics.concealed_samples
