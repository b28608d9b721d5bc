"""The sound that a jitter buffer has decoded and not yet given away, behind a little of what it gave."""

from __future__ import annotations

from collections import deque

import numpy as np

from roomtone.media.stretch import CONTEXT_MS, Pcm, join


class PlayoutLine:
    """One array, the past on the left and the future on the right of a cursor; int16, `samples x channels`.

    It also keeps account of when the sound's packets had come, and so of how long each sample waited.
    """

    def __init__(self, sample_rate_hz: int, channels: int) -> None:
        self._rate_hz = sample_rate_hz
        self._keep = int(sample_rate_hz * CONTEXT_MS / 1000)
        self._sound: Pcm = np.zeros((self._keep, channels), dtype=np.int16)
        self._cursor = self._keep
        self._pieces: deque[tuple[int, float | None]] = deque()
        self.torn = False
        """Whether what is added next does not follow what is there, and must be joined to it."""
        self._silent = True
        self.emitted_samples = 0
        self.waited_s = 0.0
        """Sum over the emitted samples of the time from their packet's arrival to their emission."""

    @property
    def pending(self) -> int:
        """How many samples are decoded and not taken."""
        return len(self._sound) - self._cursor

    @property
    def tail(self) -> Pcm:
        """The last 30 ms before the end, taken or not, or all there is."""
        return self._sound[-self._keep :]

    def add(self, block: Pcm, arrival: float | None) -> None:
        """Append `block`; arrival: when its packet came, in s, or None for invented sound."""
        if not len(block):
            return
        if self.torn:
            block = join(self.tail, block, self._rate_hz)
            self.torn = False
        self._silent = False
        self._sound = np.concatenate((self._sound[self._cursor - self._keep :], block))
        self._cursor = self._keep
        self._pieces.append((len(block), arrival))

    def add_silence(self, samples: int) -> None:
        """Append silence, into which what was heard last fades, and from which what comes next rises."""
        if not self._silent:
            self.torn = True
        elif samples > 0:
            self.torn = False
        self.add(np.zeros((samples, self._sound.shape[1]), dtype=np.int16), None)
        self._silent = self.torn = True

    def take(self, samples: int, now: float) -> Pcm:
        """The next samples; there must be as many."""
        start = self._cursor
        self._cursor = end = start + samples
        left = samples
        pieces = self._pieces
        while left:
            count, arrival = pieces[0]
            used = min(count, left)
            left -= used
            if arrival is not None:
                self.emitted_samples += used
                self.waited_s += used * (now - arrival)
            if used == count:
                pieces.popleft()
            else:
                pieces[0] = (count - used, arrival)
        return self._sound[start:end].copy()

    def clear(self) -> None:
        """Throw away what was not taken."""
        self._sound = self._sound[: self._cursor]
        self._pieces.clear()
        self._silent = False
        self.torn = True
