"""Several sources, one after the other without a gap, once, n times or for ever."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final, Protocol

from roomtone.media.pcm import Pcm
from roomtone.sources.cancel import CancelToken
from roomtone.sources.convert import SampleLedger
from roomtone.sources.errors import SourceError

PAUSE_AFTER_FAILURE_S: Final = 0.5
"""So that a loop over something that breaks at once does not become a busy one."""


class Opened(Protocol):
    """One item, open: MediaFile or a PcmStream. For a worker thread."""

    label: str
    native_channels: int
    skipped_packets: int

    def blocks(self, rate_hz: int, channels: int, ledger: SampleLedger) -> Generator[Pcm]:
        """Its sound from the start to the end; at most once."""

    def close(self) -> None:
        """Idempotent."""


Opener = Callable[[], Opened]


class Playlist:
    """Plays what `openers` open. Those that fail are left out with a warning, as long as others play.

    loops: how often, None for ever. warn: is given one line each time. Raises SourceError when a whole round
    gave no sound, or when there is only one item, it fails and will not be tried again.
    """

    def __init__(
        self,
        openers: list[Opener],
        token: CancelToken,
        *,
        loops: int | None = 1,
        warn: Callable[[str], None] = lambda line: None,
    ) -> None:
        if not openers:
            raise ValueError("a playlist has at least one item")
        if loops is not None and loops < 1:
            raise ValueError(f"a playlist is played once or more, not {loops} times")
        self.label = ""
        self.rounds = 0
        self.skipped_items = 0
        self.samples = 0
        self._openers = openers
        self._token = token
        self._loops = loops
        self._warn = warn
        self._current: Opened | None = None
        self._first: int | None = None
        self._skipped_packets = 0

    @property
    def skipped_packets(self) -> int:
        current = self._current
        return self._skipped_packets + (current.skipped_packets if current is not None else 0)

    def open_first(self) -> int:
        """Open the first item that opens: how many channels it has. Raises SourceError if none does."""
        for index in range(len(self._openers)):
            try:
                self._open(index)
            except SourceError as error:
                if index == len(self._openers) - 1:
                    raise
                self._skip(error)
            else:
                self._first = index
                assert self._current is not None
                return self._current.native_channels
        raise AssertionError("unreachable")

    def blocks(self, rate_hz: int, channels: int) -> Generator[Pcm]:
        """All the sound there is. The samples of all rounds add up to their items' exact lengths."""
        ledger = SampleLedger(rate_hz)
        while self._loops is None or self.rounds < self._loops:
            heard = self.samples
            failure: SourceError | None = None
            start, self._first = self._first or 0, None
            for index in range(start, len(self._openers)):
                failure = None
                try:
                    if self._current is None:
                        self._open(index)
                    yield from self._play(rate_hz, channels, ledger)
                except SourceError as error:
                    failure = error
                    self._give_up(error)
                finally:
                    self._close_current()
            self.rounds += 1
            silent = self.samples == heard
            last = self._loops is not None and self.rounds >= self._loops
            if failure is not None and (silent or (last and len(self._openers) == 1)):
                raise failure
            if silent:
                raise SourceError("empty", f"{self.label} gave no sound; use another source")

    def close(self) -> None:
        """Idempotent."""
        self._close_current()

    def _open(self, index: int) -> None:
        self._token.check()
        self._current = self._openers[index]()
        self.label = self._current.label

    def _play(self, rate_hz: int, channels: int, ledger: SampleLedger) -> Generator[Pcm]:
        assert self._current is not None
        for block in self._current.blocks(rate_hz, channels, ledger):
            self.samples += len(block)
            yield block

    def _give_up(self, error: SourceError) -> None:
        self._close_current()
        again = self._loops is None or self.rounds + 1 < self._loops
        if len(self._openers) > 1 or again:
            self._skip(error)
            if len(self._openers) == 1:
                self._token.sleep(PAUSE_AFTER_FAILURE_S)

    def _skip(self, error: SourceError) -> None:
        self.skipped_items += 1
        self._warn(str(error))

    def _close_current(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            self._skipped_packets += current.skipped_packets
            current.close()
