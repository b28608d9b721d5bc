from __future__ import annotations

import pytest

from roomtone.protocol.rate import TokenBucket


def test_burst_then_rate() -> None:
    """The burst is there at once, then so many a second come back."""
    bucket = TokenBucket(0.0, per_s=10, burst=5)
    assert [bucket.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert not bucket.take(0.09)
    assert bucket.take(0.1)
    assert not bucket.take(0.1)
    assert [bucket.take(100.0) for _ in range(6)] == [True] * 5 + [False]


def test_a_clock_that_goes_back_gives_nothing() -> None:
    """Time that was already paid for is not paid again."""
    bucket = TokenBucket(10.0, per_s=1, burst=1)
    assert bucket.take(10.0)
    assert not bucket.take(5.0)
    assert not bucket.take(10.5)
    assert bucket.take(11.0)


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_bucket_that_lets_nothing_through(per_s: float, burst: float) -> None:
    """It is the caller's mistake."""
    with pytest.raises(ValueError, match="nothing"):
        TokenBucket(0.0, per_s=per_s, burst=burst)
