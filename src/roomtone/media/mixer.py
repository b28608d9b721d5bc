"""Several voices in one.

Voices are added, not averaged: an average would make everyone quieter whenever somebody else is there. Sums
up to half of full scale stay exact. Above that a fixed curve bends them towards full scale and never past it,
for hard clipping of two loud voices crackles, and a limiter with memory would let one voice pump the others.
A sound alone is handed on untouched, however loud.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]

KNEE: Final = 16_384
"""Where bending starts: 6 dB below full scale."""
_ROOM: Final = 32_767 - KNEE


def mix(frames: Sequence[Pcm]) -> Pcm:
    """The sum of frames of one shape. Raises ValueError for none, or for different shapes."""
    if len(frames) == 1:
        return frames[0].copy()
    return _limit(_total(frames))


def mix_minus(frames: Sequence[Pcm]) -> list[Pcm]:
    """For each frame the sum of all the others: what its speaker should hear. Errors as in `mix`."""
    total = _total(frames)
    if len(frames) == 2:
        return [frames[1].copy(), frames[0].copy()]
    return [_limit(total - frame) for frame in frames]


def _total(frames: Sequence[Pcm]) -> npt.NDArray[np.int32]:
    if not frames:
        raise ValueError("there is nothing to mix")
    shape = frames[0].shape
    if any(frame.shape != shape for frame in frames):
        raise ValueError(f"frames of one shape are mixed, not {sorted({frame.shape for frame in frames})}")
    return np.asarray(np.sum(np.stack(frames), axis=0, dtype=np.int32))


def _limit(total: npt.NDArray[np.int32]) -> Pcm:
    """Bend all above the knee: y = knee + room * tanh((x - knee) / room), of slope 1 where it starts."""
    magnitude = np.abs(total)
    if not total.size or int(magnitude.max()) <= KNEE:
        return total.astype(np.int16)
    over = np.maximum(magnitude - KNEE, 0).astype(np.float32)
    bent = KNEE + _ROOM * np.tanh(over / _ROOM)
    limited = np.where(magnitude > KNEE, np.copysign(bent, total), total)
    return np.asarray(np.rint(limited), np.int16)
