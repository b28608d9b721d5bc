"""PCM bytes, shapes and durations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.media import pcm


@given(data=st.binary(max_size=400), channels=st.sampled_from((1, 2)))
def test_bytes_come_back_or_are_refused(data: bytes, channels: int) -> None:
    """Whole samples survive the way there and back; anything else is a ValueError."""
    try:
        array = pcm.from_bytes(data, channels)
    except ValueError:
        assert len(data) % (2 * channels)
        return
    assert pcm.to_bytes(array) == data
    assert pcm.channels_of(array) == channels
    assert array.flags.writeable


def test_bytes_are_little_endian() -> None:
    """The wire's order does not depend on the machine's."""
    assert pcm.from_bytes(b"\x01\x00\xff\x7f\x00\x80").tolist() == [1, 32_767, -32_768]
    assert pcm.to_bytes(np.array([[1, -2]], np.int16)) == b"\x01\x00\xfe\xff"


def test_floats_are_refused() -> None:
    """Samples of another type are the caller's error."""
    with pytest.raises(ValueError, match="int16"):
        pcm.to_bytes(np.zeros(4, np.float32))  # type: ignore[arg-type]


def test_channels_are_changed_by_the_mean_and_by_doubling() -> None:
    """Stereo to mono does not overflow; mono to stereo keeps the loudness."""
    stereo = np.array([[32_767, 32_767], [-32_768, -32_768], [100, 0]], np.int16)
    assert pcm.with_channels(stereo, 1).tolist() == [32_767, -32_768, 50]
    assert pcm.with_channels(np.array([5, -6], np.int16), 2).tolist() == [[5, 5], [-6, -6]]
    assert pcm.with_channels(stereo, 2) is stereo
    assert pcm.with_channels(np.array([[7]], np.int16), 1).shape == (1,)
    with pytest.raises(ValueError, match="channels"):
        pcm.with_channels(stereo, 3)
    with pytest.raises(ValueError, match="shape"):
        pcm.channels_of(np.zeros((2, 2, 2), np.int16))


def test_durations() -> None:
    """Milliseconds, samples and ticks."""
    assert pcm.samples_in(20, 48_000) == 960
    assert pcm.samples_in(2.5, 8_000) == 20
    with pytest.raises(ValueError, match="whole samples"):
        pcm.samples_in(20.01, 8_000)
    assert pcm.samples_to_ticks(320, 16_000) == 960
    assert pcm.ticks_to_samples(960, 8_000) == 160
    assert pcm.silence(3).shape == (3,)
    assert pcm.silence(3, 2).shape == (3, 2)
