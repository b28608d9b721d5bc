"""The loudness that travels with every packet, so that a room knows who speaks without decoding."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

SILENCE: Final = 127
"""-127 dBov: digital silence and everything as quiet."""
_OVERLOAD: Final = 32_767.0


def rfc6464_level(pcm: npt.NDArray[np.int16]) -> int:
    """The level of one frame as RFC 6464 carries it: 0 (loudest) to 127, in -dBov.

    -20 log10(rms / overload), rounded. Overload is the strongest signal that the format can hold, a
    full-scale square wave (RFC 6464, 3): that is 0, a full-scale sine 3. No samples are silence. All channels
    count alike.
    """
    if not pcm.size:
        return SILENCE
    samples = pcm.reshape(-1).astype(np.float32)
    power = float(np.dot(samples, samples)) / samples.size
    if power <= 0:
        return SILENCE
    decibels = -10 * math.log10(power / (_OVERLOAD * _OVERLOAD))
    return min(SILENCE, max(0, round(decibels)))
