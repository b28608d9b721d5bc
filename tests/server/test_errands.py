"""Work in slices of a turn: the first at once, the others soon and in order."""

from __future__ import annotations

import asyncio

from roomtone.server.errands import Errands
from tests.wire import eventually, serving


async def test_the_first_at_once_and_the_rest_in_order() -> None:
    """Each is run once, a failing one does not stop the others."""
    run: list[int] = []
    errands = Errands(asyncio.get_running_loop())

    def fail() -> None:
        raise ValueError("a broken errand")

    for number in range(50):
        errands(fail if number % 7 == 3 else lambda number=number: run.append(number))  # type: ignore[misc]
        assert run == [0]
    await eventually(lambda: not errands)
    assert run == [number for number in range(50) if number % 7 != 3]
    await asyncio.sleep(0)
    errands(lambda: run.append(-1))
    assert run[-1] == -1


async def test_a_long_queue_leaves_the_loop_to_others() -> None:
    """Turns of the loop go by between them."""
    turns = 0
    errands = Errands(asyncio.get_running_loop())

    def slow() -> None:
        for _ in range(200_000):
            pass

    for _ in range(5):
        errands(slow)
    while errands:
        turns += 1
        await asyncio.sleep(0)
    assert turns >= 4


async def test_who_is_back_before_the_others_are_told_was_never_away() -> None:
    """A resume that overtakes the news of the loss goes on where it was."""
    async with serving() as network:
        ada, bob = await network.join("ada"), await network.join("bob")
        server = network.server
        held: list[object] = []
        server._counted.later = held.append  # type: ignore[assignment]
        participant = next(one for one in server.door.participants() if one.seat.identity == "bob")
        bob.cut()
        await eventually(lambda: participant.connection is None)
        await ada.command("message", data="missed")
        await ada.text("command_applied")
        again = await network.connect()
        resume = {"token": bob.started["resume_token"], "last_event_id": bob.started["room"]["last_event_id"]}
        await again.start("", resume=resume)
        assert (await again.text("message"))["data"] == "missed"
        server._counted.later = server.errands
        for errand in held:
            assert callable(errand)
            errand()
        assert participant.connection is not None
        assert participant.seat.active
        await ada.command("message", data="heard")
        assert (await again.text("message"))["data"] == "heard"
