"""How a jitter buffer carries out what its delay controller wants, and how its inventions end."""

from __future__ import annotations

from typing import Final

import numpy as np

from roomtone.media.delay import Operation
from roomtone.media.stretch import MAX_LAG_MS, Pcm, accelerate, expand, is_silent, resample

FADE_AFTER_MS: Final = 60
"""Invented sound is faded from here..."""
SILENT_AFTER_MS: Final = 160
"""... to silence here."""
_FAST_LIKENESS: Final = 0.6
_ACCELERATE_LIKENESS: Final = 0.9
_EXPAND_LIKENESS: Final = 0.85
_EXPAND_BEYOND_MS: Final = 5.0
_MUSIC_STEP: Final = 200  # half a percent, and twice that when fast


def spliced(operation: Operation, before: Pcm, block: Pcm, rate_hz: int, over_ms: float) -> Pcm:
    """`block` by a pitch period shorter or longer; over_ms: how far the buffer is over its target."""
    if operation is Operation.FAST_EXPAND:
        return expand(before, block, rate_hz, likeness=_FAST_LIKENESS, most_ms=MAX_LAG_MS)
    if operation is Operation.EXPAND:
        most_ms = _EXPAND_BEYOND_MS - over_ms
        return expand(before, block, rate_hz, likeness=_EXPAND_LIKENESS, most_ms=most_ms)
    if operation is Operation.ACCELERATE:
        return accelerate(before, block, rate_hz, likeness=_ACCELERATE_LIKENESS, most_ms=over_ms)
    if is_silent(block):
        return block[:0]
    return accelerate(before, block, rate_hz, likeness=_FAST_LIKENESS, most_ms=over_ms)


def resampled(operation: Operation, before: Pcm, block: Pcm, rate_hz: int, over_ms: float) -> Pcm:
    """`block` by 0.5 %, or 1 % if in haste, shorter or longer; silence is cut like speech."""
    if is_silent(block):
        return spliced(operation, before, block, rate_hz, over_ms)
    fast = operation in (Operation.FAST_ACCELERATE, Operation.FAST_EXPAND)
    slower = operation in (Operation.EXPAND, Operation.FAST_EXPAND)
    difference = max(1, len(block) * (2 if fast else 1) // _MUSIC_STEP)
    return resample(before, block, difference if slower else -difference)


def fade(block: Pcm, after_ms: float, length_ms: float) -> Pcm:
    """Invented sound that begins after_ms into the invention, softer the longer it goes on."""
    if after_ms < FADE_AFTER_MS:
        return block
    at_ms = after_ms + np.linspace(0.0, length_ms, len(block))[:, None]
    gains = np.clip(1.0 - (at_ms - FADE_AFTER_MS) / (SILENT_AFTER_MS - FADE_AFTER_MS), 0.0, 1.0)
    faded: Pcm = np.rint(block * gains).astype(np.int16)
    return faded
