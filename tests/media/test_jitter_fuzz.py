"""Arbitrary bytes as packets through the jitter buffer and a real decoder: it always gives its samples."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.fuzz_jitter import drive
from roomtone.media.packet import Packet

_packets = st.builds(
    lambda sequence, timestamp, payload, flags: Packet(0, sequence, timestamp, payload, flags=flags).data,
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFF_FFFF),
    st.binary(min_size=1, max_size=60),
    st.integers(0, 15),
)
_steps = st.one_of(
    st.integers(0, 127).map(lambda step: bytes([step])),
    _packets.map(lambda data: bytes([128 + len(data)]) + data),
    st.integers(0, 0xFFFF).map(lambda sequence: b"\xff" + sequence.to_bytes(2, "big")),
)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 31), st.lists(_steps, max_size=120))
def test_any_packets_in_any_order(mode: int, steps: list[bytes]) -> None:
    """Jumps, garbage, flags, flushes and stalls, well-formed on the outside."""
    drive(bytes([mode]) + b"".join(steps))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2_000))
def test_any_bytes(data: bytes) -> None:
    """Nothing is assumed at all."""
    drive(data)
