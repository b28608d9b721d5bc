"""The live resampler."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.media.pcm import Pcm
from roomtone.media.resample import Resampler
from tests.media.signals import rms, snr_db, tone

RATES = [(48_000, 16_000), (16_000, 48_000), (24_000, 48_000), (8_000, 48_000), (48_000, 8_000)]
ODD_RATES = [(44_100, 48_000), (22_050, 48_000), (48_000, 44_100), (11_025, 16_000), (96_000, 48_000)]

any_rate = st.sampled_from((8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000))


def in_blocks(resampler: Resampler, pcm: Pcm, block: int) -> list[Pcm]:
    """The stream in blocks of one size."""
    return [resampler.process(pcm[at : at + block]) for at in range(0, len(pcm), block)]


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES + ODD_RATES)
def test_a_tone_is_the_same_tone_at_the_other_rate(from_hz: int, to_hz: int) -> None:
    """Sound comes out `lag_samples` late (1 ms or 2), else as if sampled at that rate; flush ends it."""
    resampler = Resampler(from_hz, to_hz)
    pcm = tone(from_hz, 500)
    heard = np.concatenate([*in_blocks(resampler, pcm, from_hz // 50), resampler.flush()])
    wanted = tone(to_hz, 500)
    lag = resampler.lag_samples
    assert lag / to_hz < 0.0025
    start, end = lag + to_hz // 50, len(heard) - to_hz // 50
    assert snr_db(wanted[start - lag : end - lag], heard[start:end]) > 25
    assert len(heard) == len(pcm) * to_hz // from_hz + lag


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES)
def test_blocks_have_one_size_from_the_first_on(from_hz: int, to_hz: int) -> None:
    """20 ms in, 20 ms out, every time: nothing downstream needs a queue."""
    blocks = in_blocks(Resampler(from_hz, to_hz), tone(from_hz, 200), from_hz // 50)
    assert {len(block) for block in blocks} == {to_hz // 50}


@settings(deadline=None, max_examples=40)
@given(
    rates=st.sampled_from(RATES + ODD_RATES) | st.tuples(any_rate, any_rate),
    sizes=st.lists(st.integers(0, 30) | st.integers(0, 700), min_size=1, max_size=40),
    channels=st.tuples(st.sampled_from((1, 2)), st.sampled_from((1, 2))),
)
def test_the_count_is_exact_for_any_blocks(rates: tuple[int, int], sizes: list[int], channels: tuple[int, int]) -> None:
    """After n samples in, n * to // from have come out, whatever the blocks were."""
    resampler = Resampler(*rates, *channels)
    taken = given_out = 0
    for size in sizes:
        out = resampler.process(np.zeros(size if channels[0] == 1 else (size, 2), np.int16))
        taken += size
        given_out += len(out)
        assert given_out == taken * rates[1] // rates[0]
        assert out.shape[1:] == (() if channels[1] == 1 else (2,))


def test_what_lies_above_half_the_rate_is_taken_out() -> None:
    """A tone that the lower rate cannot hold does not come back as another tone."""
    heard = np.concatenate(in_blocks(Resampler(48_000, 16_000), tone(48_000, 300, frequency_hz=12_000), 960))
    assert rms(heard[800:]) < rms(tone(48_000, 300)) / 300


def test_channels_keep_their_loudness() -> None:
    """Mono to stereo is the same on both sides; stereo to mono is the mean."""
    pcm = tone(16_000, 200)
    both = np.concatenate(in_blocks(Resampler(16_000, 48_000, 1, 2), pcm, 320))
    assert rms(both[:, 0][960:]) == pytest.approx(rms(pcm), rel=0.02)
    assert np.array_equal(both[:, 0], both[:, 1])
    left_only = np.stack([pcm, np.zeros_like(pcm)], 1)
    down = np.concatenate(in_blocks(Resampler(16_000, 48_000, 2, 1), left_only, 320))
    assert rms(down[960:]) == pytest.approx(rms(pcm) / 2, rel=0.02)
    kept = np.concatenate(in_blocks(Resampler(16_000, 48_000, 2, 2), left_only, 320))
    assert not kept[:, 1].any()


def test_equal_rates_pass_without_lag() -> None:
    """Nothing is changed, nothing held back, and PyAV stays out of it."""
    pcm = tone(48_000, 20)
    resampler = Resampler(48_000, 48_000)
    assert resampler.lag_samples == 0
    assert np.array_equal(resampler.process(pcm), pcm)
    assert resampler.flush().shape == (0,)
    code = (
        "import sys, numpy as n; from roomtone.media.resample import Resampler;"
        "Resampler(8000, 8000).process(n.zeros(9, n.int16)); Resampler(8000, 16000);"
        "print('av' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_flushed_resampler_is_as_new() -> None:
    """The second stream does not hear the first."""
    resampler = Resampler(16_000, 48_000)
    pcm = tone(16_000, 100)
    first = [*in_blocks(resampler, pcm, 320), resampler.flush()]
    second = [*in_blocks(resampler, pcm, 320), resampler.flush()]
    assert np.array_equal(np.concatenate(first), np.concatenate(second))
    assert resampler.flush().shape == (0,)


def test_wrong_input_is_refused() -> None:
    """Rates, channel counts, types and shapes."""
    for arguments in ((0, 8000), (8000, 500_000), (8000, 16_000, 3), (8000, 16_000, 1, 0)):
        with pytest.raises(ValueError):
            Resampler(*arguments)
    resampler = Resampler(16_000, 48_000)
    with pytest.raises(ValueError, match="shape"):
        resampler.process(np.zeros((320, 2), np.int16))
    with pytest.raises(ValueError, match="int16"):
        resampler.process(np.zeros(320))  # type: ignore[arg-type]
