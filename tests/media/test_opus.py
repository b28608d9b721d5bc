"""The Opus binding, on real libopus."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.media import opus_packet
from roomtone.media.opus import (
    FRAME_DURATIONS_MS,
    SAMPLE_RATES_HZ,
    Application,
    OpusDecoder,
    OpusEncoder,
    OpusError,
    Pcm,
)
from tests.media.signals import noise, rms, snr_db, tone, voice


def encode_all(encoder: OpusEncoder, pcm: Pcm, frame: int) -> list[bytes]:
    """Every whole frame of `pcm`, encoded in turn."""
    return [encoder.encode(pcm[at : at + frame]) for at in range(0, len(pcm) - frame + 1, frame)]


def bitrate_of(packets: list[bytes], frame_ms: float = 20) -> float:
    """Bits a second over all of the packets."""
    return 8000 * sum(map(len, packets)) / (frame_ms * len(packets))


@pytest.mark.parametrize("rate_hz", SAMPLE_RATES_HZ)
@pytest.mark.parametrize("frame_ms", FRAME_DURATIONS_MS)
def test_every_rate_and_frame_length_survives_the_round_trip(rate_hz: int, frame_ms: float) -> None:
    """A tone comes back with its length exactly, and its loudness nearly."""
    pcm = tone(rate_hz, 480)
    frame = round(rate_hz * frame_ms / 1000)
    encoder = OpusEncoder(rate_hz, bitrate_bps=48_000)
    decoder = OpusDecoder(rate_hz)
    packets = encode_all(encoder, pcm, frame)
    assert {opus_packet.duration_ticks(packet) for packet in packets} == {round(frame_ms * 48)}
    heard = np.concatenate([decoder.decode(packet) for packet in packets])
    assert heard.dtype == np.int16
    assert heard.shape == (len(packets) * frame,)
    assert rms(heard[len(heard) // 2 :]) == pytest.approx(rms(pcm), rel=0.1)


def test_the_waveform_comes_back_delayed_by_the_lookahead() -> None:
    """What is decoded is what was encoded, `lookahead_samples` later."""
    pcm = tone(48_000, 1000)
    encoder = OpusEncoder(48_000, application=Application.LOW_DELAY, bitrate_bps=96_000, complexity=10)
    decoder = OpusDecoder()
    heard = np.concatenate([decoder.decode(packet) for packet in encode_all(encoder, pcm, 960)])
    delay = encoder.lookahead_samples
    assert delay == 120
    assert snr_db(pcm[9600:-delay], heard[9600 + delay :]) > 25


def test_stereo_keeps_its_sides_apart() -> None:
    """A sound on the left stays there; both array shapes and bytes are taken alike."""
    left = tone(48_000, 400)
    pcm = np.stack([left, np.zeros_like(left)], axis=1)
    decoder = OpusDecoder(channels=2)
    encoder = OpusEncoder(channels=2, bitrate_bps=96_000)
    packets = encode_all(encoder, pcm, 960)
    heard = np.concatenate([decoder.decode(packet) for packet in packets])
    assert heard.shape == (len(pcm), 2)
    assert rms(heard[9600:, 0]) > 30 * rms(heard[9600:, 1])
    assert opus_packet.channels(packets[-1]) == 2
    for form in (pcm.reshape(-1)[:1920], pcm[:960].tobytes(), np.asfortranarray(pcm[:960])):
        encoder.reset()
        assert encoder.encode(form) == packets[0]


def test_a_decoder_may_run_at_another_rate_and_channel_count() -> None:
    """An agent decodes a 48 kHz stereo stream straight to 16 kHz mono."""
    encoder = OpusEncoder(48_000, 2)
    packet = encoder.encode(np.zeros((960, 2), np.int16))
    assert OpusDecoder(16_000).decode(packet).shape == (320,)


def test_the_bitrate_changes_at_run_time() -> None:
    """The encoder obeys `set_bitrate` in the middle of a call."""
    pcm = voice(48_000, 2000)
    encoder = OpusEncoder(bitrate_bps=32_000)
    high = bitrate_of(encode_all(encoder, pcm, 960))
    encoder.bitrate_bps = 12_000
    low = bitrate_of(encode_all(encoder, pcm, 960))
    assert encoder.bitrate_bps == 12_000
    assert high == pytest.approx(32_000, rel=0.25)
    assert 6_000 < low < 15_000


def test_dtx_makes_silence_nearly_free_and_can_be_switched() -> None:
    """With DTX, silence after speech becomes packets of 1 or 2 bytes; without it, it does not."""
    encoder = OpusEncoder(16_000, dtx=True)
    encode_all(encoder, voice(16_000, 1000), 320)
    silent = encode_all(encoder, np.zeros(32_000, np.int16), 320)
    assert min(map(len, silent[30:])) <= 2
    encoder.dtx = False
    assert min(map(len, encode_all(encoder, np.zeros(16_000, np.int16), 320)[5:])) > 2


def test_in_band_fec_brings_back_what_was_lost() -> None:
    """The copy in the next packet is closer to the lost frame than what concealment invents."""
    pcm = np.concatenate([np.zeros(3 * 960, np.int16), voice(48_000, 2000)[4800:]])
    encoder = OpusEncoder(bitrate_bps=32_000, inband_fec=True, expected_loss_percent=20)
    packets = encode_all(encoder, pcm, 960)
    lost = next(i for i in range(4, len(packets) - 1) if opus_packet.has_fec(packets[i + 1]))
    whole, fec, plc = OpusDecoder(), OpusDecoder(), OpusDecoder()
    for packet in packets[:lost]:
        for decoder in (whole, fec, plc):
            decoder.decode(packet)
    truth = whole.decode(packets[lost])
    recovered = fec.decode_fec(packets[lost + 1], 960)
    concealed = plc.conceal(960)
    assert recovered.shape == concealed.shape == (960,)
    assert snr_db(truth, recovered) > snr_db(truth, concealed) + 3
    assert len(fec.decode(packets[lost + 1])) == 960


def test_concealment_fades_to_comfort_noise() -> None:
    """A lost frame is continued, not cut; within 100 ms of loss the voice is gone."""
    decoder = OpusDecoder(24_000)
    for packet in encode_all(OpusEncoder(24_000), voice(24_000, 880), 480):
        last = decoder.decode(packet)
    concealed = [decoder.conceal(480) for _ in range(30)]
    assert rms(concealed[0]) == pytest.approx(rms(last), rel=0.3)
    assert max(map(rms, concealed[5:])) < rms(last) / 8


def test_concealment_takes_any_whole_step() -> None:
    """2.5 ms up to 120 ms; nothing else."""
    decoder = OpusDecoder(16_000)
    assert [len(decoder.conceal(samples)) for samples in (40, 120, 320, 1920)] == [40, 120, 320, 1920]
    for samples in (0, -40, 41, 1960, 10**9):
        with pytest.raises(ValueError, match=r"2\.5 ms"):
            decoder.conceal(samples)
        with pytest.raises(ValueError, match=r"2\.5 ms"):
            decoder.decode_fec(b"\x00", samples)


def test_what_was_decoded_is_the_callers_own() -> None:
    """A later call does not change an array given out before."""
    encoder, decoder = OpusEncoder(), OpusDecoder()
    loud = [decoder.decode(packet) for packet in encode_all(encoder, tone(48_000, 200), 960)]
    before = loud[-1].copy()
    decoder.conceal(960)
    assert np.array_equal(loud[-1], before)


def test_reset_makes_both_ends_new() -> None:
    """After reset the same input gives the same bytes and samples as at the start."""
    pcm = voice(48_000, 200)
    encoder, decoder = OpusEncoder(), OpusDecoder()
    packets = encode_all(encoder, pcm, 960)
    heard = [decoder.decode(packet) for packet in packets]
    encoder.reset()
    decoder.reset()
    assert encode_all(encoder, pcm, 960) == packets
    assert all(np.array_equal(decoder.decode(a), b) for a, b in zip(packets, heard, strict=True))


@pytest.mark.parametrize("samples", [0, 1, 100, 959, 961, 1000, 3840, 5760])
def test_other_frame_lengths_are_refused(samples: int) -> None:
    """Opus has six frame lengths; 80 and 120 ms are not among those we send."""
    with pytest.raises(ValueError, match="is not one of"):
        OpusEncoder().encode(np.zeros(samples, np.int16))


def test_samples_that_are_not_int16_are_refused() -> None:
    """Floats are not truncated silently, half a sample is not dropped, a wrong channel count is not mixed."""
    encoder = OpusEncoder()
    with pytest.raises(ValueError, match="int16"):
        encoder.encode(np.zeros(960, np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="whole 16-bit"):
        encoder.encode(b"\0" * 1921)
    with pytest.raises(ValueError, match="shape"):
        encoder.encode(np.zeros((480, 2), np.int16))
    with pytest.raises(ValueError, match="is not one of"):
        OpusEncoder(channels=2).encode(np.zeros(961, np.int16))


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("bitrate_bps", 5_999),
        ("bitrate_bps", 510_001),
        ("complexity", 11),
        ("complexity", -1),
        ("expected_loss_percent", 101),
    ],
)
def test_settings_out_of_range_are_refused_and_leave_the_old(name: str, bad: int) -> None:
    """A refused setting changes nothing."""
    encoder = OpusEncoder()
    before = getattr(encoder, name)
    with pytest.raises(ValueError, match=name):
        setattr(encoder, name, bad)
    assert getattr(encoder, name) == before
    with pytest.raises(ValueError, match=name):
        OpusEncoder(**{name: bad})


def test_rates_and_channels_opus_does_not_have_are_refused() -> None:
    """44.1 kHz needs a resampler, surround another codec."""
    for make in (OpusEncoder, OpusDecoder):
        with pytest.raises(ValueError, match="44100"):
            make(44_100)
        with pytest.raises(ValueError, match="channels"):
            make(48_000, 3)


def test_a_closed_codec_says_so() -> None:
    """Closing twice is fine; using it afterwards is the caller's error."""
    encoder, decoder = OpusEncoder(), OpusDecoder()
    for codec in (encoder, decoder):
        codec.close()
        codec.close()
        with pytest.raises(ValueError, match="closed"):
            codec.reset()
    with pytest.raises(ValueError, match="closed"):
        encoder.encode(np.zeros(960, np.int16))
    with pytest.raises(ValueError, match="closed"):
        encoder.bitrate_bps = 20_000
    with pytest.raises(ValueError, match="closed"):
        decoder.decode(b"\x00\x00")


def test_empty_and_malformed_payloads_are_opus_errors() -> None:
    """Garbage is the peer's fault, and told as such."""
    decoder = OpusDecoder()
    for payload in (b"", b"\x01\x00", b"\x03\x00", b"\xff"):
        with pytest.raises(OpusError):
            decoder.decode(payload)
    with pytest.raises(OpusError):
        decoder.decode_fec(b"", 960)


@settings(deadline=None)
@given(payloads=st.lists(st.binary(max_size=300), max_size=6), fec=st.booleans())
def test_no_bytes_crash_the_decoder(payloads: list[bytes], fec: bool) -> None:
    """Any bytes either decode to the length they declare or raise OpusError, and the decoder lives on."""
    decoder = OpusDecoder(16_000)
    for payload in payloads:
        try:
            pcm = decoder.decode_fec(payload, 320) if fec else decoder.decode(payload)
        except OpusError:
            continue
        assert len(pcm) == (320 if fec else opus_packet.duration_ticks(payload) // 3)
    assert len(decoder.decode(OpusEncoder(16_000).encode(noise(320)))) == 320


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_damaged_packets_do_not_crash_the_decoder(data: st.DataObject) -> None:
    """Real packets with flipped and missing bytes reach deeper into the decoder than noise does."""
    packet = bytearray(data.draw(st.sampled_from(REAL_PACKETS)))
    for _ in range(data.draw(st.integers(1, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] ^= data.draw(st.integers(1, 255))
    payload = bytes(packet[: data.draw(st.integers(1, len(packet)))])
    decoder = OpusDecoder(48_000, data.draw(st.sampled_from((1, 2))))
    try:
        assert len(decoder.decode(payload)) == opus_packet.duration_ticks(payload)
    except OpusError:
        with pytest.raises(ValueError):
            opus_packet.duration_ticks(payload)


REAL_PACKETS = [
    *encode_all(OpusEncoder(16_000, inband_fec=True, expected_loss_percent=20), voice(16_000, 240), 320),
    *encode_all(OpusEncoder(48_000, bitrate_bps=24_000), voice(48_000, 240), 960),
    *encode_all(OpusEncoder(48_000, application=Application.LOW_DELAY), voice(48_000, 60), 480),
    *encode_all(OpusEncoder(16_000, bitrate_bps=12_000), voice(16_000, 240), 960),
]


def test_two_codecs_run_in_two_threads() -> None:
    """Different objects may be used at once, and give what they would have given alone."""
    pcm = voice(48_000, 600)
    alone = encode_all(OpusEncoder(), pcm, 960)
    found: list[list[bytes]] = []
    threads = [threading.Thread(target=lambda: found.append(encode_all(OpusEncoder(), pcm, 960))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone, alone]
