"""A listener's queue: order, bounds, the oldest audio dropped, flushes, control never dropped."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roomtone.media.packet import Packet
from roomtone.room.outbox import Outbox


def packet(sequence: int, track: int = 1) -> Packet:
    return Packet(track, sequence & 0xFFFF, (sequence & 0xFFFF) * 960, b"%d" % (sequence & 0xFFFF))


def drain(outbox: Outbox) -> list[bytes]:
    found = []
    while (data := outbox.pop()) is not None:
        found.append(data)
    return found


def test_everything_comes_out_as_it_came_in() -> None:
    """Audio and control keep their order among each other; frames are the packets' own objects."""
    outbox = Outbox()
    packets = [packet(0), packet(1)]
    outbox.push_audio(packets[0], 20)
    assert outbox.push_control(b"hello")
    outbox.push_audio(packets[1], 20)
    assert outbox.push_control(b"bye")
    assert len(outbox) == 4
    assert outbox.audio_ms == 40
    assert outbox.control_events == 2
    out = drain(outbox)
    assert out == [packets[0].frame, b"hello", packets[1].frame, b"bye"]
    assert out[0] is packets[0].frame
    assert len(outbox) == 0
    assert outbox.audio_ms == 0


def test_over_the_limit_the_oldest_audio_goes_and_the_next_is_marked() -> None:
    """Each track that lost something is marked once; control stays where it was."""
    outbox = Outbox(audio_limit_ms=100)
    outbox.push_audio(packet(0, track=2), 20)
    outbox.push_control(b"c")
    for sequence in range(6):
        outbox.push_audio(packet(sequence), 20)
    outbox.push_audio(packet(1, track=2), 20)
    assert outbox.dropped_packets == 3
    assert outbox.audio_ms == 100
    assert drain(outbox) == [
        b"c",
        packet(2).discontinuous.frame,
        packet(3).frame,
        packet(4).frame,
        packet(5).frame,
        packet(1, track=2).discontinuous.frame,
    ]
    outbox.push_audio(packet(6), 20)
    assert drain(outbox) == [packet(6).frame]


def test_a_single_packet_longer_than_the_limit_passes() -> None:
    """The newest audio is never dropped by its own length."""
    outbox = Outbox(audio_limit_ms=10)
    outbox.push_audio(packet(0), 20)
    assert len(outbox) == 1
    outbox.push_audio(packet(1), 20)
    assert drain(outbox) == [packet(1).discontinuous.frame]


def test_a_stuck_listener_costs_a_bounded_queue() -> None:
    """An hour of audio behind a control message that is never written keeps one second."""
    outbox = Outbox()
    outbox.push_control(b"first")
    for sequence in range(180_000):
        outbox.push_audio(packet(sequence), 20)
    assert len(outbox) == 51
    assert outbox.dropped_packets == 179_950
    assert drain(outbox)[1] == packet(179_950).discontinuous.frame


def test_too_many_control_messages_overflow() -> None:
    """False, and what is queued stays."""
    outbox = Outbox(control_limit_events=3)
    assert [outbox.push_control(b"%d" % number) for number in range(4)] == [True, True, True, False]
    assert drain(outbox) == [b"0", b"1", b"2"]
    assert outbox.push_control(b"again")


def test_too_many_control_bytes_overflow_but_one_large_message_passes() -> None:
    """A snapshot of a large room is larger than the limit, and is sent when nothing else waits."""
    outbox = Outbox(control_limit_bytes=100)
    assert outbox.push_control(b"x" * 60)
    assert not outbox.push_control(b"x" * 41)
    assert outbox.push_control(b"x" * 40)
    drain(outbox)
    assert outbox.push_control(b"x" * 1000)
    assert not outbox.push_control(b"")
    drain(outbox)
    assert outbox.push_control(b"x" * 60)


def test_control_can_be_taken_past_the_audio() -> None:
    """For a listener that is behind; the audio keeps waiting."""
    outbox = Outbox()
    outbox.push_audio(packet(0), 20)
    outbox.push_control(b"c")
    assert outbox.pop_control() == b"c"
    assert outbox.pop_control() is None
    assert outbox.control_events == 0
    assert drain(outbox) == [packet(0).frame]


@pytest.mark.parametrize(
    ("first", "from_sequence", "kept"),
    [(0, 5, [5, 6, 7, 8, 9]), (65_530, 65_535, [65_535, 0, 1, 2, 3]), (65_530, 2, [2, 3]), (0, 0, list(range(10)))],
)
def test_a_flush_throws_away_the_older_audio_of_its_track(first: int, from_sequence: int, kept: list[int]) -> None:
    """Across the wrap of the sequence, without touching others, without a mark."""
    outbox = Outbox()
    for sequence in range(first, first + 10):
        outbox.push_audio(packet(sequence), 20)
    outbox.push_audio(packet(0, track=2), 20)
    outbox.push_control(b"c")
    assert outbox.flush_track(1, from_sequence) == 10 - len(kept)
    assert outbox.audio_ms == 20 * (len(kept) + 1)
    assert outbox.dropped_packets == 0
    assert drain(outbox) == [
        *(packet(sequence).frame for sequence in kept),
        packet(0, track=2).frame,
        b"c",
    ]


def test_dropping_all_audio_keeps_the_control_and_marks_every_track() -> None:
    """For a listener that starts again from now."""
    outbox = Outbox()
    outbox.push_audio(packet(0), 20)
    outbox.push_control(b"c")
    outbox.push_audio(packet(0, track=2), 20)
    assert outbox.drop_audio() == 2
    assert outbox.dropped_packets == 2
    assert outbox.audio_ms == 0
    outbox.push_audio(packet(1), 20)
    outbox.push_audio(packet(1, track=2), 20)
    assert drain(outbox) == [b"c", packet(1).discontinuous.frame, packet(1, track=2).discontinuous.frame]


Op = tuple[str, int]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("audio"), st.integers(1, 3)),
            st.tuples(st.just("control"), st.integers(0, 40)),
            st.tuples(st.just("pop"), st.integers(1, 5)),
            st.tuples(st.just("flush"), st.integers(1, 3)),
            st.tuples(st.just("drop"), st.just(0)),
        ),
        max_size=150,
    )
)
def test_it_behaves_like_one_plain_queue(ops: list[Op]) -> None:
    """Against a list that does everything the slow way: same bytes, same order, same bounds."""
    outbox = Outbox(audio_limit_ms=100, control_limit_events=8, control_limit_bytes=120)
    plain: deque[tuple[str, Packet | bytes]] = deque()
    gaps: set[int] = set()
    sequence = {1: 65_530, 2: 0, 3: 100}

    def audio() -> list[tuple[str, Packet]]:
        return [entry for entry in plain if isinstance(entry[1], Packet)]  # type: ignore[misc]

    for op, value in ops:
        if op == "audio":
            new = packet(sequence[value], value)
            sequence[value] += 1
            outbox.push_audio(new, 20)
            plain.append(("audio", new))
            while len(audio()) > 5:
                oldest = audio()[0]
                plain.remove(oldest)
                gaps.add(oldest[1].track)
        elif op == "control":
            waiting = [entry[1] for entry in plain if isinstance(entry[1], bytes)]
            fits = not waiting or (len(waiting) < 8 and sum(map(len, waiting)) + value <= 120)
            assert outbox.push_control(b"x" * value) == fits
            if fits:
                plain.append(("control", b"x" * value))
        elif op == "pop":
            for _ in range(value):
                got = outbox.pop()
                if not plain:
                    assert got is None
                    break
                item = plain.popleft()[1]
                if isinstance(item, Packet):
                    marked = item.track in gaps
                    gaps.discard(item.track)
                    assert got == (item.discontinuous.frame if marked else item.frame)
                else:
                    assert got == item
        elif op == "flush":
            keep_from = (sequence[value] - 2) & 0xFFFF
            old = [e for e in audio() if e[1].track == value][:-2]
            assert outbox.flush_track(value, keep_from) == len(old)
            for entry in old:
                plain.remove(entry)
        else:
            gaps |= {entry[1].track for entry in audio()}
            assert outbox.drop_audio() == len(audio())
            plain = deque(entry for entry in plain if entry[0] == "control")
        assert len(outbox) == len(plain)
        assert outbox.audio_ms == pytest.approx(20 * len(audio()))


def test_a_lower_limit_lets_the_oldest_go() -> None:
    """A listener that fell behind keeps the newest only; the next packet of what was dropped is discontinuous."""
    outbox = Outbox(audio_limit_ms=1_000)
    packets = [Packet(0, sequence, 0, b"x") for sequence in range(50)]
    for packet in packets:
        outbox.push_audio(packet, 20)
    assert outbox.limit_audio(200) == 40
    assert outbox.audio_ms == 200
    assert outbox.pop() == packets[40].discontinuous.frame
    assert outbox.limit_audio(1_000) == 0
