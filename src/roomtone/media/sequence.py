"""Serial number arithmetic for 16-bit sequence numbers and 32-bit timestamps (RFC 1982, RFC 3550 A.1)."""

from __future__ import annotations

from typing import Final

SEQUENCE_MODULUS: Final = 1 << 16
TIMESTAMP_MODULUS: Final = 1 << 32


def sequence_difference(a: int, b: int) -> int:
    """a - b on the 16-bit circle, -32768..32767: positive when a is newer than b."""
    return ((a - b + 0x8000) & 0xFFFF) - 0x8000


def timestamp_difference(a: int, b: int) -> int:
    """a - b on the 32-bit circle, in ticks: positive when a is newer than b."""
    return ((a - b + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000


class Unwrapper:
    """Turns wrapping counters into integers that only wrap in the peer's head.

    The first value is returned as it is; every later one is placed within half a circle of the newest seen.
    """

    __slots__ = ("_half", "_last", "_modulus")

    def __init__(self, modulus: int) -> None:
        self._modulus = modulus
        self._half = modulus >> 1
        self._last: int | None = None

    def unwrap(self, value: int) -> int:
        """value: 0..modulus-1. The result may be negative for a value from before the first."""
        last = self._last
        if last is None:
            self._last = value
            return value
        step = (value - last + self._half) % self._modulus - self._half
        result = last + step
        if step > 0:
            self._last = result
        return result

    def reset(self) -> None:
        """Forget the newest value: the next one is returned as it is."""
        self._last = None
