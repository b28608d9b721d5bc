"""Packet inspection, with libopus itself as the judge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from roomtone.media import libopus, opus_packet
from roomtone.media.opus import Application, OpusEncoder
from tests.media.signals import noise, voice


def judge(payload: bytes) -> tuple[int, list[int]]:
    """libopus's own reading: the frame count, or a negative error, and the frames' sizes."""
    ffi, lib, _, _ = libopus.load()
    sizes = ffi.new("int16_t[48]")
    count = lib.opus_packet_parse(payload, len(payload), ffi.NULL, ffi.new("unsigned char *[48]"), sizes, ffi.NULL)
    return count, list(sizes[0 : max(count, 0)])


def frames_of(configuration: int, count: int, *, stereo: bool = False) -> bytes:
    """A code 3 packet of `count` empty frames of one configuration."""
    return bytes((configuration << 3 | stereo << 2 | 3, count))


def encode(encoder: OpusEncoder, pcm: np.ndarray, frame: int) -> list[bytes]:
    """Every whole frame of `pcm`."""
    return [encoder.encode(pcm[at : at + frame]) for at in range(0, len(pcm) - frame + 1, frame)]


@pytest.mark.parametrize(
    ("configuration", "ticks"),
    [
        (0, 480),
        (3, 2880),
        (7, 2880),
        (8, 480),
        (11, 2880),
        (12, 480),
        (13, 960),
        (15, 960),
        (16, 120),
        (19, 960),
        (28, 120),
        (29, 240),
        (30, 480),
        (31, 960),
    ],
)
def test_durations_of_all_frame_count_codes(configuration: int, ticks: int) -> None:
    """RFC 6716, table 2, and one, two, two or any number of frames."""
    toc = configuration << 3
    assert opus_packet.duration_ticks(bytes((toc, 7))) == ticks
    assert opus_packet.duration_ticks(bytes((toc | 1, 7, 7))) == 2 * ticks
    assert opus_packet.duration_ticks(bytes((toc | 2, 1, 7, 7, 7))) == 2 * ticks
    most = 5760 // ticks
    assert opus_packet.duration_ticks(frames_of(configuration, most)) == most * ticks
    with pytest.raises(ValueError, match="frames of"):
        opus_packet.duration_ticks(frames_of(configuration, most + 1))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes(1277),  # R2: a frame of 1,276 bytes
        b"\x01\x00",  # R3: an odd number of bytes for two equal frames
        b"\x02",  # R4: no room for the first length
        b"\x02\xfc",  # R4: half a two-byte length
        b"\x02\x05\x00",  # R4: a first frame longer than the packet
        b"\x03",  # R6: no frame count
        b"\x03\x00",  # R5: no frames
        b"\xff\x07",  # R5: 140 ms
        b"\x03\x02\x00",  # R6: a byte is not two equal frames
        b"\x03\x41",  # no padding length
        b"\x03\x41\x05\x00",  # R6: padding longer than the packet
        b"\x03\x41\xff",  # the padding's length goes on past the end
        b"\x03\x82\x09\x00",  # R7: a first frame longer than the packet
        b"\x03\x82",  # R7: no length
    ],
)
def test_malformed_packets_are_refused(payload: bytes) -> None:
    """Each of the rules of RFC 6716, 3.4, broken once; libopus refuses the same."""
    assert judge(payload)[0] < 0
    for function in (
        opus_packet.duration_ticks,
        opus_packet.voice_flag,
        opus_packet.has_fec,
        opus_packet.channels,
    ):
        with pytest.raises(ValueError):
            function(payload)


@settings(max_examples=500)
@given(
    payload=st.binary(max_size=60) | st.builds(lambda h, n: h + bytes(n), st.binary(max_size=6), st.integers(0, 1400))
)
@example(payload=b"\x03\x41\xff\xfe" + bytes(600))
@example(payload=b"\x07\x82\xfc\x01" + bytes(300))
def test_any_bytes_are_read_as_libopus_reads_them(payload: bytes) -> None:
    """The same packets are refused, and the same frames found, as by the reference; so are FEC flags."""
    count, sizes = judge(payload)
    try:
        frames = opus_packet.parse(payload)
    except ValueError:
        assert count < 0
        return
    assert [size for _, size in frames.spans] == sizes
    assert all(offset + size <= len(payload) for offset, size in frames.spans)
    assert opus_packet.duration_ticks(payload) == count * frames.frame_ticks
    assert opus_packet.has_fec(payload) == libopus.load().lib.opus_packet_has_lbrr(payload, len(payload))
    assert opus_packet.voice_flag(payload) in (True, False, None)
    assert opus_packet.channels(payload) in (1, 2)


@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_voice_flag_tells_speech_from_noise_floor(frame_ms: int, channels: int) -> None:
    """A voice sets the flag in most packets, the quiet after it clears it, at every SILK frame length."""
    frame = 16 * frame_ms
    encoder = OpusEncoder(16_000, channels, bitrate_bps=24_000 * channels)
    speech, quiet = voice(16_000, 2400), noise(38_400, peak=0.0003)
    if channels == 2:
        speech, quiet = np.stack([speech, speech // 2], 1), np.stack([quiet, quiet], 1)
    spoken = [opus_packet.voice_flag(packet) for packet in encode(encoder, speech, frame)]
    silent = [opus_packet.voice_flag(packet) for packet in encode(encoder, quiet, frame)]
    assert None not in spoken
    assert sum(map(bool, spoken)) > 0.7 * len(spoken)
    assert not any(silent[len(silent) // 2 :])


@pytest.mark.parametrize("frame_ms", [10, 20, 40, 60])
def test_fec_flags_agree_with_libopus_on_real_packets(frame_ms: int) -> None:
    """Mono and stereo, with and without FEC."""
    lib = libopus.load().lib
    for channels in (1, 2):
        for fec in (False, True):
            encoder = OpusEncoder(
                16_000, channels, bitrate_bps=32_000 * channels, inband_fec=fec, expected_loss_percent=25
            )
            speech = voice(16_000, 1200)
            pcm = np.stack([speech, speech[::-1]], 1) if channels == 2 else speech
            packets = encode(encoder, pcm, 16 * frame_ms)
            flags = [opus_packet.has_fec(packet) for packet in packets]
            assert flags == [bool(lib.opus_packet_has_lbrr(packet, len(packet))) for packet in packets]
            assert any(flags) == fec


def test_celt_has_no_voice_flag() -> None:
    """Low-delay packets say nothing about voice, rather than something wrong."""
    encoder = OpusEncoder(application=Application.LOW_DELAY)
    packets = encode(encoder, voice(48_000, 200), 480)
    assert {opus_packet.voice_flag(packet) for packet in packets} == {None}
    assert not any(opus_packet.has_fec(packet) for packet in packets)


def test_a_dtx_packet_is_no_voice() -> None:
    """A packet of one byte has no frame data, whatever its mode."""
    for configuration in (1, 9, 13, 31):
        assert opus_packet.voice_flag(bytes((configuration << 3,))) is False
