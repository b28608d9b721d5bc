"""Concealment for waveforms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.media.plc import FADE_MS, Concealer
from tests.media.signals import rms, snr_db, tone, voice


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
def test_a_steady_tone_goes_on(rate_hz: int) -> None:
    """The lost 10 ms are nearly what was lost."""
    pcm = tone(rate_hz, 80, frequency_hz=200)
    concealer = Concealer(rate_hz)
    cut = rate_hz * 60 // 1000
    concealer.heard(pcm[:cut])
    concealed = concealer.conceal(rate_hz // 100)
    assert snr_db(pcm[cut : cut + rate_hz // 100], concealed) > 12


def test_it_fades_to_silence() -> None:
    """After 60 ms there is nothing left to hear, and it stays so."""
    concealer = Concealer(16_000)
    concealer.heard(voice(16_000, 880))
    frames = [concealer.conceal(160) for _ in range(10)]
    assert rms(frames[0]) > rms(frames[3]) > rms(frames[5]) > 0
    assert not np.concatenate(frames)[round(FADE_MS * 16) :].any()


def test_there_is_no_click_at_either_edge() -> None:
    """Where a loss begins and ends the waveform steps no more than it does elsewhere."""
    pcm = tone(16_000, 200, frequency_hz=150)
    concealer = Concealer(16_000)
    out = []
    for index, at in enumerate(range(0, len(pcm), 320)):
        out.append(concealer.conceal(320) if index in (4, 5) else concealer.heard(pcm[at : at + 320]))
    largest = np.abs(np.diff(pcm.astype(int))).max()
    assert np.abs(np.diff(np.concatenate(out).astype(int))).max() < 3 * largest


def test_frames_that_arrive_pass_untouched() -> None:
    """Without a loss before it a frame is returned as it is, and after a loss only its first 4 ms change."""
    pcm = voice(16_000, 100)
    concealer = Concealer(16_000)
    assert np.array_equal(concealer.heard(pcm[:320]), pcm[:320])
    concealer.conceal(320)
    joined = concealer.heard(pcm[640:960])
    assert np.array_equal(joined[64:], pcm[704:960])
    assert np.array_equal(concealer.heard(pcm[960:1280]), pcm[960:1280])


@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 400)), max_size=12), stereo=st.booleans())
def test_any_order_gives_the_asked_lengths(steps: list[tuple[bool, int]], stereo: bool) -> None:
    """Frames of any length, losses of any length, before anything was heard as well."""
    channels = 2 if stereo else 1
    concealer = Concealer(8_000, channels)
    for lost, size in steps:
        shape = (size, 2) if stereo else (size,)
        loud = np.full(shape, -32_768, np.int16)
        out = concealer.conceal(size) if lost else concealer.heard(loud)
        assert out.shape == shape
        assert out.dtype == np.int16


def test_nothing_heard_is_silence() -> None:
    """A loss at the very start is not invented; a negative one is refused."""
    concealer = Concealer(8_000)
    assert not concealer.conceal(160).any()
    with pytest.raises(ValueError, match="-1"):
        concealer.conceal(-1)
