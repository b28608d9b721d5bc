from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.sources.convert import Converter, Framer, SampleLedger
from tests.sources.media import Pcm, tone


def frame_of(pcm: Pcm, rate_hz: int) -> av.AudioFrame:
    layout = "mono" if pcm.ndim == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm).reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate = rate_hz
    return frame


def converted(converter: Converter, frames: list[av.AudioFrame]) -> Pcm:
    blocks = [block for frame in frames for block in converter.push(frame)]
    blocks += converter.finish()
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)


@given(st.lists(st.tuples(st.integers(0, 100_000), st.sampled_from([8_000, 11_025, 44_100, 48_000])), max_size=30))
def test_the_ledger_never_owes_half_a_sample_more_or_less(items: list[tuple[int, int]]) -> None:
    """However many items, the sum is the exact length, rounded down once."""
    ledger = SampleLedger(48_000)
    seconds = [Fraction(samples, rate_hz) for samples, rate_hz in items]
    assert sum(ledger.owed(each) for each in seconds) == int(sum(seconds) * 48_000)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(1, 5_000), min_size=1, max_size=6),
    st.sampled_from([8_000, 11_025, 22_050, 44_100, 48_000, 96_000]),
    st.sampled_from([1, 2]),
    st.booleans(),
)
def test_an_item_gives_exactly_its_length(sizes: list[int], rate_hz: int, channels: int, stereo: bool) -> None:
    """To the sample, at any rate and channel count, whatever the decoder's frames were."""
    frames = [frame_of(tone(size, rate_hz, channels=2 if stereo else 1), rate_hz) for size in sizes]
    out = converted(Converter(48_000, channels, SampleLedger(48_000)), frames)
    assert len(out) == sum(sizes) * 48_000 // rate_hz
    assert out.ndim == channels


def test_a_format_that_changes_midway_is_followed() -> None:
    """As in a chained radio stream: rate and channels change, and nothing is lost."""
    frames = [
        frame_of(tone(44_100, 44_100), 44_100),
        frame_of(tone(48_000, 48_000, channels=2), 48_000),
        frame_of(tone(8_000, 8_000), 8_000),
    ]
    out = converted(Converter(48_000, 1, SampleLedger(48_000)), frames)
    assert len(out) == 3 * 48_000
    reference = tone(3 * 48_000, 48_000)
    middle = slice(60_000, 84_000)
    assert np.abs(out[middle].astype(int) - reference[middle]).max() < 200


def test_a_live_item_comes_at_once() -> None:
    """No block is held back where nobody wants to wait for it."""
    converter = Converter(48_000, 1, SampleLedger(48_000), live=True)
    sizes = [sum(map(len, converter.push(frame_of(tone(960, 48_000), 48_000)))) for _ in range(3)]
    assert sizes == [960, 960, 960]
    assert not list(converter.finish())


def test_nothing_in_nothing_out() -> None:
    """An item without a frame gives no block."""
    assert not list(Converter(48_000, 2, SampleLedger(48_000)).finish())


@pytest.mark.parametrize("channels", [1, 2])
@given(st.lists(st.integers(0, 3_000), max_size=20))
def test_frames_hold_all_the_samples_in_their_order(channels: int, sizes: list[int]) -> None:
    """Exact frames, carried over from block to block, the last filled up with silence."""
    framer = Framer(960, channels)
    count = sum(sizes)
    sound = np.arange(count, dtype=np.int16) + 1
    sound = sound if channels == 1 else np.stack([sound, -sound], axis=1)
    frames, at = [], 0
    for size in sizes:
        frames += framer.push(sound[at : at + size])
        at += size
    frames += framer.finish()
    assert all(frame.shape == ((960,) if channels == 1 else (960, 2)) for frame in frames)
    assert len(frames) == -(-count // 960)
    if frames:
        joined = np.concatenate(frames)
        assert np.array_equal(joined[:count], sound)
        assert not joined[count:].any()
    assert not list(framer.finish())
