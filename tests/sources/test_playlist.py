from __future__ import annotations

from collections.abc import Generator
from functools import partial

import numpy as np
import pytest

from roomtone.sources.cancel import CancelToken
from roomtone.sources.convert import SampleLedger
from roomtone.sources.errors import SourceError
from roomtone.sources.playlist import Opened, Playlist
from tests.sources.media import Pcm


class Item:
    """Gives `blocks` blocks of 100 samples of `value`, then fails if told to."""

    def __init__(self, value: int, blocks: int, *, fails: bool = False) -> None:
        self.label = f"item {value}"
        self.native_channels = 1 + value % 2
        self.skipped_packets = 1
        self.closed = 0
        self._value, self._blocks, self._fails = value, blocks, fails

    def blocks(self, rate_hz: int, channels: int, ledger: SampleLedger) -> Generator[Pcm]:
        for _ in range(self._blocks):
            yield np.full(100, self._value, np.int16)
        if self._fails:
            raise SourceError("died_midway", f"{self.label} died")

    def close(self) -> None:
        self.closed += 1


def missing() -> Opened:
    raise SourceError("missing", "nothing here")


def good(value: int, blocks: int = 2) -> Opened:
    return Item(value, blocks)


def dying(value: int, blocks: int = 1) -> Opened:
    return Item(value, blocks, fails=True)


def played(playlist: Playlist) -> list[int]:
    return [int(block[0]) for block in playlist.blocks(48_000, 1)]


def test_items_follow_one_another_and_rounds_too() -> None:
    """Twice through, in order, with the counts to show for it."""
    playlist = Playlist([partial(good, 1), partial(good, 2, 1)], CancelToken(), loops=2)
    assert playlist.open_first() == 2
    assert playlist.label == "item 1"
    assert played(playlist) == [1, 1, 2] * 2
    assert (playlist.rounds, playlist.samples, playlist.skipped_packets) == (2, 600, 4)


def test_items_that_fail_are_left_out_with_a_warning() -> None:
    """Before the first that works, in between, and midway; each says why."""
    warnings: list[str] = []
    openers = [missing, partial(good, 1), missing, partial(dying, 2), partial(good, 3)]
    playlist = Playlist(openers, CancelToken(), warn=warnings.append)
    playlist.open_first()
    assert played(playlist) == [1, 1, 2, 3, 3]
    assert warnings == ["nothing here", "nothing here", "item 2 died"]
    assert playlist.skipped_items == 3


def test_an_item_that_comes_back_is_played_in_the_next_round() -> None:
    """What failed once is tried again each round, the first included."""
    attempts = 0

    def sometimes() -> Opened:
        nonlocal attempts
        attempts += 1
        return good(5) if attempts == 2 else missing()

    playlist = Playlist([sometimes, partial(good, 1, 1)], CancelToken(), loops=3)
    playlist.open_first()
    assert played(playlist) == [1, 5, 5, 1, 1]


def test_when_nothing_works_the_last_failure_is_raised() -> None:
    """At the start, and in a later round too."""
    with pytest.raises(SourceError, match="nothing here"):
        Playlist([missing, missing], CancelToken(), loops=None).open_first()
    left = iter([partial(good, 1), partial(good, 1)])
    playlist = Playlist([lambda: next(left, missing)()], CancelToken(), loops=None)
    playlist.open_first()
    heard = []
    with pytest.raises(SourceError, match="nothing here"):
        heard.extend(int(block[0]) for block in playlist.blocks(48_000, 1))
    assert playlist.rounds == 3


def test_a_single_item_that_dies_is_an_error_unless_it_is_tried_again() -> None:
    """A stream that breaks off has failed; a looped one is opened anew."""
    playlist = Playlist([partial(dying, 1)], CancelToken())
    with pytest.raises(SourceError, match="item 1 died"):
        played(playlist)
    warnings: list[str] = []
    left = iter([partial(dying, 1), partial(good, 2)])
    again = Playlist([lambda: next(left)()], CancelToken(), loops=2, warn=warnings.append)
    assert played(again) == [1, 2, 2]
    assert warnings == ["item 1 died"]


def test_silence_without_a_failure_is_an_error_too() -> None:
    """An endless loop over nothing would be a busy one."""
    with pytest.raises(SourceError, match="no sound") as caught:
        played(Playlist([partial(good, 1, 0)], CancelToken(), loops=None))
    assert caught.value.fault == "empty"


def test_every_item_is_closed_once_also_when_nobody_reads_on() -> None:
    """Who opened a thing closes it."""
    items: list[Item] = []

    def opener() -> Opened:
        items.append(Item(1, 3))
        return items[-1]

    playlist = Playlist([opener, opener], CancelToken(), loops=None)
    playlist.open_first()
    blocks = playlist.blocks(48_000, 1)
    for _ in range(4):
        next(blocks)
    blocks.close()
    playlist.close()
    playlist.close()
    assert [item.closed for item in items] == [1, 1]


def test_settings_are_checked() -> None:
    """No items, or no rounds, is a mistake of the caller."""
    with pytest.raises(ValueError, match="at least one"):
        Playlist([], CancelToken())
    with pytest.raises(ValueError, match="once or more"):
        Playlist([missing], CancelToken(), loops=0)
