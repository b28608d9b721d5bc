"""G.711 against a second implementation, by bit arithmetic instead of tables, and known values."""

from __future__ import annotations

import av
import numpy as np
import pytest

from roomtone.media import g711
from tests.media.signals import snr_db, voice

EVERY_SAMPLE = np.arange(-32_768, 32_768).astype(np.int16)
EVERY_CODE = bytes(range(256))


def ulaw_code(sample: int) -> int:
    """mu-law by shifting: 14-bit magnitude, bias of 33, position of the leading bit, four bits after it."""
    biased = min((abs(sample) >> 2) + 33, 0x1FFF)
    segment = biased.bit_length() - 6
    code = segment << 4 | biased >> (segment + 1) & 15
    return (code if sample < 0 else code | 0x80) ^ 0x7F


def ulaw_sample(code: int) -> int:
    """The inverse, from the code's fields."""
    code ^= 0x7F
    segment, step = code >> 4 & 7, code & 15
    magnitude = (((2 * step + 33) << segment) - 33) * 4
    return magnitude if code & 0x80 else -magnitude


def alaw_code(sample: int) -> int:
    """A-law by shifting: 11-bit magnitude, its leading bit, the four bits after it, even bits inverted."""
    magnitude = min(abs(sample) >> 4, 2047)
    segment = max(0, magnitude.bit_length() - 4)
    code = segment << 4 | magnitude >> max(0, segment - 1) & 15
    return (code if sample < 0 else code | 0x80) ^ 0x55


def alaw_sample(code: int) -> int:
    """The inverse, from the code's fields."""
    code ^= 0x55
    segment, step = code >> 4 & 7, code & 15
    magnitude = 2 * step + 1 if not segment else (2 * step + 33) << (segment - 1)
    return magnitude * 8 if code & 0x80 else -magnitude * 8


def test_every_ulaw_value() -> None:
    """All 65,536 samples and all 256 codes."""
    assert g711.encode_ulaw(EVERY_SAMPLE) == bytes(map(ulaw_code, EVERY_SAMPLE.tolist()))
    assert g711.decode_ulaw(EVERY_CODE).tolist() == [ulaw_sample(code) for code in range(256)]


def test_every_alaw_value() -> None:
    """All 65,536 samples and all 256 codes."""
    assert g711.encode_alaw(EVERY_SAMPLE) == bytes(map(alaw_code, EVERY_SAMPLE.tolist()))
    assert g711.decode_alaw(EVERY_CODE).tolist() == [alaw_sample(code) for code in range(256)]


def test_known_values() -> None:
    """Zero, the extremes, and the first steps as the Recommendation's tables give them."""
    samples = np.array([0, 32_767, -32_768, 4, -4, 12], np.int16)
    assert g711.encode_ulaw(samples) == bytes((0xFF, 0x80, 0x00, 0xFE, 0x7E, 0xFD))
    assert g711.decode_ulaw(b"\x00\x80\xff\x7f\xfe").tolist() == [-32_124, 32_124, 0, 0, 8]
    assert g711.encode_alaw(np.array([0, 32_767, -32_768, -1, 16], np.int16)) == bytes((0xD5, 0xAA, 0x2A, 0x55, 0xD4))
    assert g711.decode_alaw(b"\xd5\x55\x2a\xaa").tolist() == [8, -8, -32_256, 32_256]


@pytest.mark.parametrize(("name", "decode"), [("pcm_mulaw", g711.decode_ulaw), ("pcm_alaw", g711.decode_alaw)])
def test_another_decoder_hears_the_same(name: str, decode: object) -> None:
    """libavcodec's decoders give the same sample for every code."""
    context = av.CodecContext.create(name, "r")
    context.sample_rate = 8000
    context.layout = "mono"
    (frame,) = context.decode(av.Packet(EVERY_CODE))
    assert frame.to_ndarray().reshape(-1).tolist() == decode(EVERY_CODE).tolist()  # type: ignore[operator]


def test_what_was_decoded_encodes_to_itself() -> None:
    """Passing through twice loses nothing more; only mu-law's negative zero becomes the positive one."""
    assert g711.encode_alaw(g711.decode_alaw(EVERY_CODE)) == EVERY_CODE
    assert g711.encode_ulaw(g711.decode_ulaw(EVERY_CODE)) == EVERY_CODE.replace(b"\x7f", b"\xff")


def test_speech_keeps_its_quality() -> None:
    """Both laws stay near 38 dB on a voice, and take strided and stereo arrays."""
    pcm = voice(8_000, 1000)
    assert snr_db(pcm, g711.decode_ulaw(g711.encode_ulaw(pcm))) > 33
    assert snr_db(pcm, g711.decode_alaw(g711.encode_alaw(pcm))) > 33
    assert g711.encode_ulaw(pcm[::2]) == g711.encode_ulaw(pcm[::2].copy())
    assert g711.decode_ulaw(b"").shape == (0,)


def test_other_types_are_refused() -> None:
    """A float array is an error, not noise."""
    for encode in (g711.encode_ulaw, g711.encode_alaw):
        with pytest.raises(ValueError, match="int16"):
            encode(np.zeros(8, np.float32))  # type: ignore[arg-type]
