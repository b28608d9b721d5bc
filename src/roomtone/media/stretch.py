"""Shorten or lengthen speech by one pitch period without touching its pitch; music by a small resampling.

The overlap-add of WSOLA (Verhelst and Roelands, 1993), one splice at a time: find the lag at which the sound
is most like itself around the place where the old sound ends and the new begins, and cross-fade there.
Sound is int16, `samples x channels`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]
Signal = npt.NDArray[np.float32]

MIN_LAG_MS: Final = 2.5
MAX_LAG_MS: Final = 15.0
"""Pitch periods of 400 Hz down to 67 Hz."""
FADE_MS: Final = 5.0
CONTEXT_MS: Final = 30.0
"""How much of the old sound the functions look at, at most."""
SILENT_RMS: Final = 50.0
"""-56 dBFS: below it, any splice is inaudible."""

_COMPARE_MS: Final = 10.0
_COARSE_HZ: Final = 8_000


def is_silent(block: Pcm) -> bool:
    """Whether a splice anywhere in `block` goes unheard."""
    if not block.size:
        return True
    flat = block.reshape(-1).astype(np.float32)
    return float(np.dot(flat, flat)) < SILENT_RMS * SILENT_RMS * flat.size


def accelerate(before: Pcm, block: Pcm, rate_hz: int, *, likeness: float = 0.9, most_ms: float = MAX_LAG_MS) -> Pcm:
    """`block` without one pitch period, or `block` itself where nothing suits.

    before: what comes before it. likeness: 0..1, the least correlation of the two pieces that are laid over
    one another; silence always suits. most_ms: remove no more than this.
    """
    fade = int(rate_hz * FADE_MS / 1000)
    shortest = int(rate_hz * MIN_LAG_MS / 1000)
    longest = min(int(rate_hz * min(most_ms, MAX_LAG_MS) / 1000), len(block) - fade)
    if longest < shortest:
        return block
    compare = min(len(before), int(rate_hz * _COMPARE_MS / 1000))
    if is_silent(block):
        lag = longest
    else:
        sound = _mono(np.concatenate((before[len(before) - compare :], block)))
        found = _best_lag(sound, rate_hz, compare + fade, shortest, longest, likeness)
        if found is None:
            return block
        lag = found
    head = _cross_fade(block[:fade], block[lag : lag + fade])
    return np.concatenate((head, block[lag + fade :]))


def expand(before: Pcm, block: Pcm, rate_hz: int, *, likeness: float = 0.85, most_ms: float = MAX_LAG_MS) -> Pcm:
    """`block` with the pitch period before it played once more, or `block` itself where nothing suits."""
    fade = int(rate_hz * FADE_MS / 1000)
    compare = int(rate_hz * _COMPARE_MS / 1000)
    shortest = int(rate_hz * MIN_LAG_MS / 1000)
    longest = min(int(rate_hz * min(most_ms, MAX_LAG_MS) / 1000), len(before) - compare)
    if longest < max(shortest, fade) or len(block) < fade:
        return block
    past = before[len(before) - longest - compare :]
    if is_silent(block) and is_silent(past):
        lag = longest
    else:
        # Backwards in time it is the same search: the piece at the end against pieces that lie earlier.
        sound = _mono(np.concatenate((past, block[:fade])))[::-1]
        found = _best_lag(sound, rate_hz, compare + fade, max(shortest, fade), longest, likeness)
        if found is None:
            return block
        lag = found
    repeat = before[len(before) - lag :]
    head = _cross_fade(block[:fade], repeat[:fade])
    return np.concatenate((head, repeat[fade:], block))


def resample(before: Pcm, block: Pcm, difference: int) -> Pcm:
    """`block` played slightly faster (difference < 0 samples) or slower, by cubic interpolation.

    It begins and ends on the samples of `block`, so that the next block follows it as it is. Changes over 1 %
    of the length are audible as a change of pitch.
    """
    length = len(block)
    wanted = length + difference
    if length < 4 or wanted < 4 or not difference:
        return block
    first = before[-1:] if len(before) else block[:1]
    after = 2 * block[-1:].astype(np.float32) - block[-2:-1]  # the next sample is not known: go straight on
    padded = np.concatenate((first.astype(np.float32), block.astype(np.float32), after, after))
    at = np.arange(wanted, dtype=np.float64) * (length / wanted)
    whole = at.astype(np.int64)
    part = (at - whole).astype(np.float32)[:, None]
    a, b, c, d = padded[whole], padded[whole + 1], padded[whole + 2], padded[whole + 3]
    # Catmull-Rom: through b and c, with the slopes of their neighbours.
    curve = b + 0.5 * part * (c - a + part * (2 * a - 5 * b + 4 * c - d + part * (3 * (b - c) + d - a)))
    return _to_pcm(curve)


def join(before: Pcm, block: Pcm, rate_hz: int) -> Pcm:
    """`block` to follow `before` where the sound was torn: faded in over the mirror image of the past."""
    fade = min(int(rate_hz * FADE_MS / 1000), len(block), len(before))
    if not fade:
        return block
    head = _cross_fade(before[: len(before) - fade - 1 : -1], block[:fade])
    return np.concatenate((head, block[fade:]))


def _mono(block: Pcm) -> Signal:
    if block.shape[1] == 1:
        return block[:, 0].astype(np.float32)
    mixed: Signal = block.sum(axis=1, dtype=np.float32)
    return mixed


def _to_pcm(signal: npt.NDArray[np.floating[Any]]) -> Pcm:
    pcm: Pcm = np.clip(np.rint(signal), -32768, 32767).astype(np.int16)
    return pcm


def _cross_fade(out: Pcm, into: Pcm) -> Pcm:
    count = len(out)
    rise = ((np.arange(count, dtype=np.float32) + 1) / (count + 1))[:, None]
    return _to_pcm(out + (into.astype(np.float32) - out) * rise)


def _likeness(sound: Signal, piece: int, lags: range) -> Signal:
    """Normalised correlation of sound[:piece] with sound[lag:lag + piece], for a run of lags."""
    windows = np.lib.stride_tricks.sliding_window_view(sound[lags.start : lags.stop - 1 + piece], piece)
    first = sound[:piece]
    energy = np.concatenate(([0.0], np.cumsum(np.square(sound, dtype=np.float64))))
    starts = np.arange(lags.start, lags.stop)
    powers = energy[starts + piece] - energy[starts]
    scale = np.sqrt(np.maximum(powers * energy[piece], 1.0))
    return np.asarray(windows @ first / scale, dtype=np.float32)


def _best_lag(sound: Signal, rate_hz: int, piece: int, shortest: int, longest: int, likeness: float) -> int | None:
    """The lag (shortest..longest) at which sound[:piece] comes again; None if it is nowhere alike.

    Searched coarsely at 8 kHz, then around the best lag at the full rate.
    """
    step = max(1, rate_hz // _COARSE_HZ)
    if step == 1:
        scores = _likeness(sound, piece, range(shortest, longest + 1))
        best = int(np.argmax(scores))
        return shortest + best if scores[best] >= likeness else None
    whole = len(sound) // step * step
    coarse = sound[:whole].reshape(-1, step).mean(axis=1)
    low = -(-shortest // step)
    high = min(longest // step, len(coarse) - piece // step)
    if high < low:
        return None
    scores = _likeness(coarse, piece // step, range(low, high + 1))
    best = int(np.argmax(scores))
    if scores[best] < likeness - 0.1:
        return None
    around = (low + best) * step
    start = max(shortest, around - step + 1)
    stop = min(longest, around + step - 1, len(sound) - piece)
    if stop < start:
        return None
    scores = _likeness(sound, piece, range(start, stop + 1))
    best = int(np.argmax(scores))
    return start + best if scores[best] >= likeness else None
