"""Both halves of a session against each other: whatever the wire does, each command is applied exactly once."""

from __future__ import annotations

from itertools import pairwise

import pytest

from roomtone.media.sequence import sequence_difference
from roomtone.protocol.messages import CommandApplied, Error, Moderate, TrackOpen, TrackOpened
from tests.protocol.pair import Pair


@pytest.mark.parametrize("seed", range(60))
def test_commands_are_applied_exactly_once(seed: int) -> None:
    """Over a wire that is cut anywhere, with resumes: every command is applied or refused once, in order, and
    the client is told truly which; a track_open gets the track that was opened for it."""
    pair = Pair(seed)
    for _ in range(600):
        pair.step()
    pair.settle()
    assert pair.client.state == "active"
    assert pair.client.pending == []
    done = sorted(pair.room.applied + pair.room.failed)
    assert done == list(range(1, len(done) + 1))
    assert pair.room.applied == sorted(pair.room.applied)
    assert sorted(pair.outcomes) == done
    for number, outcome in pair.outcomes.items():
        if isinstance(outcome.command, Moderate):
            assert isinstance(outcome.answer, Error)
            assert number in pair.room.failed
        elif isinstance(outcome.command, TrackOpen):
            assert isinstance(outcome.answer, TrackOpened)
            assert outcome.answer.track.name == f"{number}"
        else:
            assert outcome.answer == CommandApplied(command_id=number)
    assert pair.client.last_event_id == pair.room.last_event_id


def test_the_wire_was_cut_often_enough() -> None:
    """The seeds above do what they are there for: cuts, resumes, duplicates on the way."""
    cuts = lost = 0
    for seed in range(10):
        pair = Pair(seed)
        for _ in range(600):
            pair.step()
        cuts += pair.cuts
        lost += len(pair.room.session.refusals) if pair.room.session else 0
    assert cuts > 50
    assert lost > 50


@pytest.mark.parametrize("seed", range(30))
def test_seats_that_expire_lose_commands_but_never_lie(seed: int) -> None:
    """With seats that are sometimes gone: nothing is applied twice, and what the client was told is true."""
    pair = Pair(seed, seats_expire=True)
    for _ in range(600):
        pair.step()
    pair.settle()
    assert pair.client.pending == []
    assert len(set(pair.room.applied)) == len(pair.room.applied)
    for number, outcome in pair.outcomes.items():
        if isinstance(outcome.answer, CommandApplied | TrackOpened):
            assert number in pair.room.applied
        elif isinstance(outcome.answer, Error):
            assert number in pair.room.failed


@pytest.mark.parametrize("seed", range(10))
def test_audio_and_events_keep_their_order(seed: int) -> None:
    """What arrives is in order and without repetition, over reconnects too; events after a snapshot may miss,
    events after a replay may not."""
    pair = Pair(seed)
    for _ in range(600):
        pair.step()
    pair.settle()
    for packets in (pair.heard, pair.room.heard):
        assert len(packets) > 10
        steps = [sequence_difference(b.sequence, a.sequence) for a, b in pairwise(packets)]
        assert min(steps) > 0
    numbers = [int(text) for text in pair.told]
    assert numbers == sorted(set(numbers))
