from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.media.stretch import accelerate, expand, is_silent, join, resample

RATES_HZ = (8_000, 16_000, 24_000, 48_000)
Pcm = npt.NDArray[np.int16]


def voiced(rate_hz: int, seconds: float, pitch_hz: float = 140.0, channels: int = 1) -> Pcm:
    """A vowel-like sound: harmonics of one pitch that fall off, as `samples x channels`."""
    at = np.arange(int(rate_hz * seconds)) / rate_hz
    wave = sum(np.sin(2 * np.pi * pitch_hz * k * at + k) / k for k in range(1, 8))
    return np.repeat((wave * 5_000).astype(np.int16)[:, None], channels, axis=1)


def largest_step(sound: Pcm) -> int:
    return int(np.abs(np.diff(sound.astype(np.int32), axis=0)).max())


def pitch_hz(sound: Pcm, rate_hz: int) -> float:
    """The strongest line of the spectrum below 400 Hz, to a fraction of a bin."""
    mono = sound[:, 0].astype(np.float64)
    size = 1 << 18
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono)), size))
    lowest = int(60 * size / rate_hz)
    return float((lowest + np.argmax(spectrum[lowest : int(400 * size / rate_hz)])) * rate_hz / size)


def stretch_all(operation: str, sound: Pcm, rate_hz: int) -> tuple[Pcm, int]:
    """Every other 20 ms block stretched; returns the sound and how many blocks were."""
    frame = rate_hz // 50
    out = sound[:frame]
    changed = 0
    for number, at in enumerate(range(frame, len(sound) - frame + 1, frame)):
        block = sound[at : at + frame]
        before = out[-rate_hz * 30 // 1000 :]
        if number % 2:
            new = accelerate(before, block, rate_hz) if operation == "accelerate" else expand(before, block, rate_hz)
            changed += len(new) != len(block)
            block = new
        out = np.concatenate((out, block))
    return out, changed


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("operation", ["accelerate", "expand"])
def test_voiced_sound_is_stretched_without_clicks_at_the_same_pitch(operation: str, rate_hz: int) -> None:
    """The steps between samples stay as small as they were, and the pitch within 1 %."""
    sound = voiced(rate_hz, 2.0)
    out, changed = stretch_all(operation, sound, rate_hz)
    assert changed > 30
    assert (len(out) < len(sound)) == (operation == "accelerate")
    assert largest_step(out) <= largest_step(sound) * 1.15
    assert pitch_hz(out, rate_hz) == pytest.approx(140.0, rel=0.01)


def test_a_pitch_period_is_what_is_removed() -> None:
    """At 100 Hz the block loses a whole number of 10 ms periods."""
    sound = voiced(48_000, 0.1, pitch_hz=100.0)
    out = accelerate(sound[:1440], sound[1440:2400], 48_000)
    assert 960 - len(out) == pytest.approx(480, abs=3)


def test_both_channels_are_cut_at_the_same_place() -> None:
    """Stereo with two equal channels stays equal."""
    sound = voiced(48_000, 1.0, channels=2)
    for operation in ("accelerate", "expand"):
        out, changed = stretch_all(operation, sound, 48_000)
        assert changed
        assert np.array_equal(out[:, 0], out[:, 1])


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_noise_is_left_alone_unless_it_is_silence(rate_hz: int) -> None:
    """Nothing in white noise comes again, so it is not cut; at -70 dBFS it does not matter."""
    noise = np.random.default_rng(1).normal(0, 1, (rate_hz // 20, 1))
    loud, soft = (noise * 3_000).astype(np.int16), (noise * 10).astype(np.int16)
    split = rate_hz * 3 // 100
    assert len(accelerate(loud[:split], loud[split:], rate_hz)) == len(loud) - split
    assert len(expand(loud[:split], loud[split:], rate_hz)) == len(loud) - split
    assert len(accelerate(soft[:split], soft[split:], rate_hz)) < len(soft) - split
    assert len(expand(soft[:split], soft[split:], rate_hz)) > len(soft) - split
    assert is_silent(soft)
    assert not is_silent(loud)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(RATES_HZ),
    st.integers(0, 1500),
    st.integers(0, 3000),
    st.integers(1, 2),
    st.floats(0, 40),
    st.integers(0, 2**32 - 1),
)
def test_any_length_and_any_sound_is_accepted(
    rate_hz: int, past: int, present: int, channels: int, most_ms: float, seed: int
) -> None:
    """Lengths that are too short are returned as they are; nothing is removed or added beyond the bound."""
    chance = np.random.default_rng(seed)
    before, block = (chance.integers(-32768, 32768, (count, channels)).astype(np.int16) for count in (past, present))
    most = int(rate_hz * min(most_ms, 15.0) / 1000)
    shorter = accelerate(before, block, rate_hz, likeness=0.0, most_ms=most_ms)
    longer = expand(before, block, rate_hz, likeness=0.0, most_ms=most_ms)
    assert len(block) - most <= len(shorter) <= len(block) <= len(longer) <= len(block) + most
    assert shorter.dtype == longer.dtype == np.int16


@pytest.mark.parametrize("difference", [-5, 5])
def test_music_is_resampled_and_joins_both_sides(difference: int) -> None:
    """A 1 kHz tone in blocks of 20 ms, each 0.5 % shorter or longer, keeps the size of its steps."""
    at = np.arange(48_000) / 48_000
    sound = (np.sin(2 * np.pi * 1_000 * at) * 8_000).astype(np.int16)[:, None]
    out = sound[:960]
    for start in range(960, 48_000, 960):
        block = resample(out[-1440:], sound[start : start + 960], difference)
        assert len(block) == 960 + difference
        out = np.concatenate((out, block))
    assert largest_step(out) <= largest_step(sound) * 1.02


def test_a_torn_sound_is_joined_without_a_step() -> None:
    """Two tones out of phase meet with steps no larger than their own."""
    sound = voiced(48_000, 0.2)
    torn = np.concatenate((sound[:3000], join(sound[:3000], -sound[3500:5000], 48_000)))
    naive = np.concatenate((sound[:3000], -sound[3500:5000]))
    assert largest_step(torn) <= largest_step(sound) * 1.5
    assert largest_step(naive) > largest_step(torn)
