"""A few rounds of random guests and vandals against a whole server, with an oracle; fuzz/fuzz_server.py has more."""

from __future__ import annotations

import pytest

from fuzz.fuzz_server import run

BOTH_LOOPS = True


@pytest.mark.parametrize("seed", [1, 2])
async def test_random_guests_see_and_hear_what_is(seed: int) -> None:
    """After each round every guest's view equals the room, and exactly those heard who should."""
    done = await run(30, seed, rounds=12)
    assert done["rounds"] == 12
    assert done["resumed"] > 0
    assert done["frames heard"] > 0
