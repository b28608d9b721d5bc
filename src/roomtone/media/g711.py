"""G.711 mu-law and A-law (ITU-T G.711, 1988), by table, between int16 and one byte a sample.

The tables follow from the Recommendation's decision values (tables 1a and 2a): a sample's magnitude lies
between two of them, and its code means the value halfway. Decision values are alike for both signs, so a
sample that is exactly one belongs to the louder code. mu-law spans +-8,159 and A-law +-4,096 units; int16
gives 4 and 8 steps to a unit.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]

SAMPLE_RATE_HZ: Final = 8_000
BYTES_PER_SECOND: Final = 8_000


def _decision_values(first: int, step: int, segments: int, doubled_first: bool) -> list[int]:
    """Lower bounds of the 128 intervals: 16 in each of 8 segments, whose steps double."""
    values: list[int] = []
    low = first
    for segment in range(segments):
        values.extend(low + step * i for i in range(16))
        low += step * 16
        if segment or not doubled_first:
            step *= 2
    return values


def _ulaw_bounds() -> tuple[list[int], list[int]]:
    """Decision values and output values, in steps of int16, by rising magnitude."""
    # The first segment starts half an interval below zero, so that zero is itself an output value.
    lows = _decision_values(-1, 2, 8, doubled_first=False)
    highs = [*lows[1:], 8_159]
    return [max(low, 0) * 4 for low in lows], [(low + high) * 2 for low, high in zip(lows, highs, strict=True)]


def _alaw_bounds() -> tuple[list[int], list[int]]:
    lows = _decision_values(0, 2, 8, doubled_first=True)
    highs = [*lows[1:], 4_096]
    return [low * 8 for low in lows], [(low + high) * 4 for low, high in zip(lows, highs, strict=True)]


def _tables(bounds: tuple[list[int], list[int]], invert: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int16]]:
    """int16 (as an unsigned index) to code, and code to int16. invert: the bits that travel flipped."""
    lows, outputs = bounds
    samples = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32)
    interval = np.searchsorted(np.array(lows), np.abs(samples), side="right") - 1
    sign = np.where(samples < 0, 0, 0x80)
    encode = ((sign | interval) ^ invert).astype(np.uint8)
    codes = np.arange(256) ^ invert
    magnitude = np.array(outputs)[codes & 0x7F]
    decode = np.where(codes & 0x80, magnitude, -magnitude).astype(np.int16)
    return encode, decode


# mu-law sends the magnitude's bits inverted (G.711, table 2a, note 2), A-law the even ones (table 1a, note
# 2).
_ULAW_ENCODE, _ULAW_DECODE = _tables(_ulaw_bounds(), 0x7F)
_ALAW_ENCODE, _ALAW_DECODE = _tables(_alaw_bounds(), 0x55)


def _encode(table: npt.NDArray[np.uint8], pcm: Pcm) -> bytes:
    if pcm.dtype != np.int16:
        raise ValueError(f"PCM is int16, not {pcm.dtype}")
    return table[np.ascontiguousarray(pcm).view(np.uint16)].tobytes()


def encode_ulaw(pcm: Pcm) -> bytes:
    """int16 samples to one byte each. Raises ValueError for another type."""
    return _encode(_ULAW_ENCODE, pcm)


def decode_ulaw(payload: bytes) -> Pcm:
    """One sample of +-32,124 a byte; every byte is valid."""
    return _ULAW_DECODE[np.frombuffer(payload, np.uint8)]


def encode_alaw(pcm: Pcm) -> bytes:
    """int16 samples to one byte each. Raises ValueError for another type."""
    return _encode(_ALAW_ENCODE, pcm)


def decode_alaw(payload: bytes) -> Pcm:
    """One sample of +-32,256 a byte; every byte is valid."""
    return _ALAW_DECODE[np.frombuffer(payload, np.uint8)]
