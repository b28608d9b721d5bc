from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roomtone.participants.lateness import BUCKETS_MS, Lateness


def test_nothing_measured_is_nothing_late() -> None:
    """No figures, no lateness."""
    lateness = Lateness()
    assert (lateness.count, lateness.max_ms, lateness.quantile_ms(0.99)) == (0, 0.0, 0.0)


@given(st.lists(st.floats(-1, 5), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_the_bound_of_its_bucket(seconds: list[float], quantile: float) -> None:
    """At most one bucket above the true value, never below it, never above the greatest."""
    lateness = Lateness()
    for each in seconds:
        lateness.add(each)
    late_ms = sorted(max(0.0, each * 1000) for each in seconds)
    index = max(0, -(-int(quantile * len(late_ms) * 1e9) // 10**9) - 1)
    true = late_ms[min(index, len(late_ms) - 1)]
    found = lateness.quantile_ms(quantile)
    assert found <= lateness.max_ms == late_ms[-1]
    assert found == lateness.max_ms or found in BUCKETS_MS
    below = max((bound for bound in BUCKETS_MS if bound < found), default=0.0)
    assert true >= below or found <= BUCKETS_MS[0]
