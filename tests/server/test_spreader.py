"""Delivery in slices: everybody gets every packet in order, a slice a turn."""

from __future__ import annotations

import asyncio

from roomtone.media.packet import Packet
from roomtone.server.spreader import MAX_PENDING_PACKETS, SLICE_LISTENERS, Spreader


def _packet(sequence: int) -> Packet:
    return Packet(0, sequence, 0, b"x")


async def test_everybody_hears_everything_in_order() -> None:
    """Three packets to a thousand listeners, the first slice at once."""
    heard: list[list[int]] = [[] for _ in range(1000)]

    def listener(box: list[int]):  # type: ignore[no-untyped-def]
        return lambda packet, now: box.append(packet.sequence)

    listeners = tuple(listener(box) for box in heard)
    spread = Spreader(asyncio.get_running_loop())
    for sequence in range(3):
        spread(_packet(sequence), listeners, 0.0)
    assert [box == [0] for box in heard] == [index < SLICE_LISTENERS for index in range(1000)]
    for _ in range(3 * (1000 // SLICE_LISTENERS + 1)):
        await asyncio.sleep(0)
    assert all(box == [0, 1, 2] for box in heard)
    assert spread.dropped_deliveries == 0


async def test_an_overloaded_loop_drops_the_oldest_and_counts() -> None:
    """What has not been reached when too much waits is lost, never piled up."""
    delivered = 0

    def count(packet: Packet, now: float) -> None:
        nonlocal delivered
        delivered += 1

    listeners = (count,) * (SLICE_LISTENERS + 10)
    spread = Spreader(asyncio.get_running_loop())
    packets = MAX_PENDING_PACKETS + 50
    for sequence in range(packets):
        spread(_packet(sequence), listeners, 0.0)
    assert spread.dropped_deliveries > 0
    for _ in range(3 * packets):
        await asyncio.sleep(0)
    assert delivered + spread.dropped_deliveries == packets * len(listeners)


async def test_a_listener_that_fails_takes_nobody_with_it() -> None:
    """The later slices, and the packets of other rooms, are delivered all the same."""
    heard: list[int] = []

    def fails(packet: Packet, now: float) -> None:
        raise ValueError("a broken listener")

    def hears(packet: Packet, now: float) -> None:
        heard.append(packet.sequence)

    spread = Spreader(asyncio.get_running_loop())
    first_slice = (hears,) * SLICE_LISTENERS
    spread(_packet(0), (*first_slice, fails, hears), 0.0)
    spread(_packet(1), (*first_slice, hears), 0.0)
    for _ in range(10):
        await asyncio.sleep(0)
    spread(_packet(2), (*first_slice, hears), 0.0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert [heard.count(sequence) for sequence in range(3)] == [SLICE_LISTENERS + 1] * 3
