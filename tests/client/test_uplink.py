"""The uplink on a clock of the test's own: fresh audio or none."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from roomtone.client.uplink import FRESH_S, Uplink
from roomtone.media.packet import FLAG_DISCONTINUITY, Packet

TICKS = 960


def frame(sequence: int, track: int = 1) -> Packet:
    return Packet(track, sequence, sequence * TICKS, b"payload")


def send(uplink: Uplink, now: float, buffered_bytes: int = 0) -> list[Packet]:
    """As a link does it: what may go is handed to the transport."""
    packets = uplink.take(now, buffered_bytes, 0.0)
    for packet in packets:
        uplink.handed(len(packet.data), now)
    return packets


def test_a_good_connection_takes_everything_at_once() -> None:
    """No frame waits while bytes leave and acknowledgements come."""
    uplink = Uplink()
    for sequence in range(200):
        now = sequence * 0.02
        uplink.push(frame(sequence), TICKS)
        assert send(uplink, now) == [frame(sequence)]
        if sequence % 25 == 24:
            uplink.acknowledge({1: sequence})
        assert uplink.lag_s(now, 0, 0.0) == 0
    assert uplink.dropped_frames == 0


def test_bytes_that_stay_in_the_process_hold_frames_back() -> None:
    """Past 200 ms unsent nothing more is handed over; the queue holds 200 ms, the newest; the rest is dropped."""
    uplink = Uplink()
    handed = 0
    for sequence in range(100):
        uplink.push(frame(sequence), TICKS)
        handed += len(send(uplink, sequence * 0.02, buffered_bytes=10_000))
    assert handed * 0.02 <= FRESH_S + 0.04
    assert uplink.dropped_frames == 100 - handed - 10
    rest = send(uplink, 2.0)
    assert [packet.sequence for packet in rest] == list(range(90, 100))
    assert rest[0].flags & FLAG_DISCONTINUITY
    assert not rest[1].flags & FLAG_DISCONTINUITY


def test_missing_acknowledgements_hold_frames_back() -> None:
    """The kernel took it all, the server saw none of it: only a probe goes out now and then, until it answers."""
    uplink = Uplink(report_interval_s=0.5)
    uplink.push(frame(0), TICKS)
    send(uplink, 0.0)
    uplink.acknowledge({1: 0})
    handed = []
    for sequence in range(1, 251):
        uplink.push(frame(sequence), TICKS)
        handed += send(uplink, sequence * 0.02)
    assert uplink.lag_s(5.0, 0, 0.0) > 4
    assert 36 <= len([packet for packet in handed if packet.sequence <= 40]) <= 40
    assert len([packet for packet in handed if packet.sequence > 40]) <= 22  # five a second
    uplink.acknowledge({1: handed[-1].sequence})
    assert uplink.lag_s(5.0, 0, 0.0) == 0
    assert len(send(uplink, 5.0)) >= 1
    assert not uplink.waiting


def test_a_server_that_never_reports_is_not_held_against_anyone() -> None:
    """Without a first report only the bytes count."""
    uplink = Uplink()
    for sequence in range(500):
        uplink.push(frame(sequence), TICKS)
        assert len(send(uplink, sequence * 0.02)) == 1


def test_a_long_round_trip_is_no_lag() -> None:
    """Acknowledgements over a satellite come late, and that is all."""
    uplink = Uplink()
    uplink.push(frame(0), TICKS)
    send(uplink, 0.0)
    uplink.acknowledge({1: 65_535})
    assert uplink.lag_s(1.2, 0, 0.0) > 0
    assert uplink.lag_s(1.2, 0, 0.6) == 0


def test_flush_and_forget_concern_one_track() -> None:
    """What waits of a flushed track goes, the other's stays; a forgotten track lags no more."""
    uplink = Uplink()
    for sequence in range(3):
        uplink.push(frame(sequence, track=1), TICKS)
        uplink.push(frame(sequence, track=2), TICKS)
    assert uplink.flush(1) == 3
    assert {packet.track for packet in send(uplink, 0.0)} == {2}
    uplink.acknowledge({2: 0})
    assert uplink.lag_s(9.0, 0, 0.0) > 0
    uplink.forget(2)
    assert uplink.lag_s(9.0, 0, 0.0) == 0


def test_a_new_connection_begins_empty() -> None:
    """What waited for the old connection is stale: dropped, counted, and the next frame says so."""
    uplink = Uplink()
    uplink.push(frame(0), TICKS)
    uplink.restart(0.5)
    assert (uplink.waiting, uplink.dropped_frames) == (False, 1)
    assert (uplink.take_dropped(2), uplink.take_dropped(1), uplink.take_dropped(1)) == (0, 1, 0)
    uplink.push(frame(1), TICKS)
    assert send(uplink, 0.0)[0].flags & FLAG_DISCONTINUITY


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["push", "take", "acknowledge", "flush"]), st.integers(0, 5_000)), max_size=200
    )
)
def test_it_is_bounded_and_loses_nothing_uncounted(steps: list[tuple[str, int]]) -> None:
    """Whatever happens: order is kept, at most 200 ms wait, and every frame was sent, dropped, flushed or waits."""
    uplink = Uplink()
    now, sequence, flushed = 0.0, 0, 0
    sent: list[int] = []
    for step, value in steps:
        now += 0.02
        if step == "push":
            uplink.push(frame(sequence), TICKS)
            sequence += 1
        elif step == "take":
            sent += [packet.sequence for packet in send(uplink, now, buffered_bytes=value)]
        elif step == "acknowledge":
            uplink.acknowledge({1: value})
        else:
            flushed += uplink.flush(1)
    assert sent == sorted(set(sent))
    waiting = uplink.flush(1)
    assert waiting * 0.02 <= FRESH_S + 1e-9
    assert len(sent) + uplink.dropped_frames + flushed + waiting == sequence
