"""Ogg/Opus: what the writer makes, what the reader makes of it, and what another implementation hears."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.media import ogg_page, opus_packet
from roomtone.media.ogg import OggOpusReader, OggOpusWriter, OggPacket, OpusHead
from roomtone.media.opus import Application, OpusDecoder, OpusEncoder, Pcm
from tests.media.signals import rms, snr_db, tone, voice

FRAME = 960
ENCODER = OpusEncoder(bitrate_bps=40_000)
SPEECH = voice(48_000, 3_000)
PACKETS = [ENCODER.encode(SPEECH[at : at + FRAME]) for at in range(0, len(SPEECH), FRAME)]


def written(packets: list[bytes], **options: int) -> bytes:
    """A whole file."""
    writer = OggOpusWriter(77, **options)
    return b"".join([writer.header(), *map(writer.add, packets), writer.close()])


def played(data: bytes) -> Pcm:
    """What PyAV (libavformat, libavcodec) hears in a file."""
    with av.open(io.BytesIO(data)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    sound = np.concatenate(frames, axis=1)[0]
    return np.clip(np.rint(sound * 32768), -32768, 32767).astype(np.int16)


def read(data: bytes, block: int = 1 << 20) -> tuple[OggOpusReader, list[OggPacket]]:
    """All packets of a file, fed in blocks of one size."""
    reader = OggOpusReader()
    packets: list[OggPacket] = []
    for at in range(0, len(data), block):
        packets += reader.feed(data[at : at + block])
    return reader, packets


def slow_crc(data: bytes) -> int:
    """RFC 3533's CRC, bit by bit."""
    register = 0
    for byte in data:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register


@given(data=st.binary(max_size=200))
def test_the_crc_is_that_of_the_specification(data: bytes) -> None:
    """The zlib detour gives what the definition gives."""
    assert ogg_page.crc(data) == slow_crc(data)


def test_another_implementation_hears_what_was_written() -> None:
    """libavformat demuxes the file, and its own decoder hears what ours hears, less the pre-skip."""
    # Low delay: the specification leaves no freedom there, as it does in the speech coder's resampler.
    encoder = OpusEncoder(application=Application.LOW_DELAY, bitrate_bps=64_000)
    packets = [encoder.encode(SPEECH[at : at + FRAME]) for at in range(0, len(SPEECH), FRAME)]
    heard = played(written(packets, pre_skip=encoder.lookahead_samples))
    decoder = OpusDecoder()
    ours = np.concatenate([decoder.decode(packet) for packet in packets])[120:]
    assert len(heard) == len(ours)
    assert snr_db(ours, heard) > 60
    assert snr_db(SPEECH[: len(heard)], heard) > 15


def test_the_file_says_how_long_it_is_and_what_it_holds() -> None:
    """Duration, channels and comments, as another implementation reads them."""
    writer = OggOpusWriter(1, 2, comments={"TITLE": "Grüße", "ARTIST": "someone"})
    silence = OpusEncoder(channels=2).encode(np.zeros((FRAME, 2), np.int16))
    data = writer.header() + b"".join(writer.add(silence) for _ in range(100)) + writer.close()
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name == "opus"
        assert stream.codec_context.channels == 2
        tags = {**container.metadata, **stream.metadata}
        assert {key.upper(): value for key, value in tags.items()}["TITLE"] == "Grüße"
        assert container.duration / 1e6 == pytest.approx(2.0, abs=0.01)


def test_the_last_packet_may_be_cut() -> None:
    """duration_ticks gives a file of exactly that length."""
    writer = OggOpusWriter(1)
    data = writer.header() + b"".join(map(writer.add, PACKETS)) + writer.close(duration_ticks=143_000)
    assert len(played(data)) == 143_000
    _, packets = read(data)
    assert sum(packet.keep_ticks for packet in packets) == 143_000 + 312
    assert packets[-1].keep_ticks < packets[-1].ticks


def test_the_cut_must_be_within_the_last_page() -> None:
    """Pages that are out cannot be changed; a refused close can be tried again."""
    writer = OggOpusWriter(1)
    writer.header()
    for packet in PACKETS:
        writer.add(packet)
    for wrong in (-5, 40_000, 150_000):
        with pytest.raises(ValueError, match="last page"):
            writer.close(duration_ticks=wrong)
    assert writer.close()
    assert writer.close() == b""


def test_pages_are_short_and_the_last_is_marked() -> None:
    """At most a second each (RFC 7845, 6); first and last are flagged, and numbers have no hole."""
    pages = []
    data, at = written(PACKETS * 3), 0
    while True:
        page, at = ogg_page.find_page(data, at)
        if page is None:
            break
        pages.append(page)
    assert at == len(data)
    assert [page.sequence for page in pages] == list(range(len(pages)))
    assert [page.flags for page in pages] == [2] + [0] * (len(pages) - 2) + [4]
    steps = np.diff([page.granule for page in pages[1:]])
    assert max(steps) == 48_000
    assert pages[-1].granule == 3 * len(PACKETS) * FRAME


def test_long_packets_fill_pages_without_breaking() -> None:
    """Packets of 60 ms at the highest bitrate: a page holds 255 segments and not more."""
    encoder = OpusEncoder(channels=2, bitrate_bps=510_000)
    noise = np.random.default_rng(3).integers(-20_000, 20_000, (2880, 2)).astype(np.int16)
    packets = [encoder.encode(noise) for _ in range(40)]
    reader, found = read(written(packets, channels=2))
    assert [packet.payload for packet in found] == packets
    assert reader.ended
    assert reader.head == OpusHead(2, 312)


@pytest.mark.parametrize("block", [1, 7, 255, 4096])
def test_the_reader_takes_blocks_of_any_size(block: int) -> None:
    """The same packets, positions and comments however the bytes arrive."""
    reader, packets = read(written(PACKETS), block)
    assert [packet.payload for packet in packets] == PACKETS
    assert [packet.position for packet in packets] == [i * FRAME for i in range(len(PACKETS))]
    assert {packet.keep_ticks for packet in packets} == {FRAME}
    assert not any(packet.discontinuity for packet in packets)
    assert reader.skipped_bytes == reader.bad_packets == 0
    assert reader.ended


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(2, 1275), min_size=1, max_size=40),
    flushes=st.sets(st.integers(0, 39)),
    page_ms=st.sampled_from((20, 200, 1000)),
)
def test_any_packets_survive(sizes: list[int], flushes: set[int], page_ms: int) -> None:
    """Packets of any size, with pages forced in between, come back in order with their times."""
    packets = [b"\x08" + bytes(size - 1) for size in sizes]
    writer = OggOpusWriter(5, page_ms=page_ms)
    data = writer.header()
    for index, packet in enumerate(packets):
        data += writer.add(packet)
        if index in flushes:
            data += writer.flush()
    data += writer.close()
    reader, found = read(data)
    assert [packet.payload for packet in found] == packets
    assert [packet.position for packet in found] == [i * FRAME for i in range(len(packets))]
    assert reader.ended
    assert not reader.skipped_bytes


@pytest.mark.parametrize("gap_ms", [2.5, 20, 37.5, 100, 500, 61_000])
def test_gaps_are_filled_to_the_sample(gap_ms: float) -> None:
    """What comes after a gap is where its timestamp says, and long gaps end in silence."""
    gap = round(gap_ms * 48)
    writer = OggOpusWriter(9)
    data = writer.header()
    for index, packet in enumerate(PACKETS):
        data += writer.add(packet, index * FRAME + (gap if index >= 50 else 0))
    data += writer.close()
    assert writer.position_ticks == len(PACKETS) * FRAME + gap
    _, packets = read(data)
    assert [packet.position for packet in packets if packet.payload in set(PACKETS)] == [
        index * FRAME + (gap if index >= 50 else 0) for index in range(len(PACKETS))
    ]
    heard = played(data)
    assert len(heard) == len(PACKETS) * FRAME + gap - 312
    if gap_ms >= 500:
        after = 50 * FRAME - 312 + 200 * 48
        assert rms(heard[after : 50 * FRAME + gap - 960]) < 2
        assert rms(heard[50 * FRAME + gap + 4800 :]) > 1000


def test_small_errors_of_timestamps_do_not_pile_up() -> None:
    """A clock that runs 100 ppm fast leaves the file within 2.5 ms of it."""
    writer = OggOpusWriter(9)
    writer.header()
    for index in range(20_000):
        writer.add(b"\xf8\xff\xfe", index * 960 + index // 10)
        assert 0 <= index * 960 + index // 10 + 960 - writer.position_ticks < 120


def test_late_and_impossible_timestamps() -> None:
    """A packet for the past is appended, one over an hour ahead is refused and changes nothing."""
    writer = OggOpusWriter(9)
    writer.header()
    writer.add(PACKETS[0], 0)
    writer.add(PACKETS[1], 100)
    assert writer.position_ticks == 2 * FRAME
    with pytest.raises(ValueError, match="an hour"):
        writer.add(PACKETS[2], 48_000 * 3700)
    assert writer.position_ticks == 2 * FRAME


def test_the_writer_has_an_order() -> None:
    """Header, packets, close; malformed packets and settings are refused."""
    writer = OggOpusWriter(1)
    assert writer.close() == b""
    with pytest.raises(ValueError, match="between"):
        writer.add(PACKETS[0])
    writer.header()
    with pytest.raises(ValueError, match="already"):
        writer.header()
    with pytest.raises(ValueError):
        writer.add(b"")
    assert read(writer.close())[1] == []
    with pytest.raises(ValueError, match="between"):
        writer.add(PACKETS[0])
    for arguments in ({"channels": 3}, {"page_ms": 0}, {"page_ms": 1001}, {"comments": {"A=B": "c"}}):
        with pytest.raises(ValueError):
            OggOpusWriter(1, **arguments)
    with pytest.raises(ValueError, match="32 bits"):
        OggOpusWriter(1 << 32)
    with pytest.raises(ValueError, match="fit"):
        OggOpusWriter(1, comments={"A": "x" * 70_000})


def test_files_of_another_writer_are_read() -> None:
    """libavformat's files give their packets, and the sound that went in."""
    buffer = io.BytesIO()
    pcm = tone(48_000, 2_000)
    with av.open(buffer, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    reader, packets = read(buffer.getvalue(), 1000)
    assert reader.head is not None
    assert reader.ended
    assert reader.tags["ENCODER"].startswith("Lav")
    decoder = OpusDecoder()
    heard = np.concatenate([decoder.decode(packet.payload)[: packet.keep_ticks] for packet in packets])
    skip = reader.head.pre_skip
    assert len(heard) - skip == len(pcm)
    assert rms(heard[skip + 4800 : -4800]) == pytest.approx(rms(pcm), rel=0.05)


def test_a_lost_page_is_a_hole_and_positions_go_on() -> None:
    """Bytes missing from the middle cost their own page; the packets after it know where they belong."""
    data = written(PACKETS)
    pages = data.split(b"OggS")
    damaged = b"OggS".join([*pages[:4], pages[4][:-3] + b"abc", *pages[5:]])
    reader, packets = read(damaged)
    assert [packet.payload for packet in packets] == PACKETS[:50] + PACKETS[100:]
    assert packets[49].position == 49 * FRAME
    assert packets[50].position == 100 * FRAME
    assert [index for index, packet in enumerate(packets) if packet.discontinuity] == [50]
    assert reader.skipped_bytes == len(pages[4]) + 4
    cut = b"OggS".join([*pages[:4], *pages[5:]])
    assert [packet.position for packet in read(cut)[1]] == [packet.position for packet in packets]


def test_pages_behind_a_false_start_are_found_in_the_end() -> None:
    """A page header that promises 64 KB holds back what follows it, until `finish` says that no more comes."""
    data = written(PACKETS)
    last = data.rindex(b"OggS")
    false = ogg_page.page_bytes(ogg_page.Page(0, 0, 77, 9, b"\xff" * 255, b""))
    reader, packets = read(data[:last] + false + data[last:])
    assert [packet.payload for packet in packets] == PACKETS[:100]
    packets += reader.finish()
    assert [packet.payload for packet in packets] == PACKETS
    assert reader.skipped_bytes == len(false)
    assert reader.finish() == []


def test_packets_may_cross_pages() -> None:
    """A packet that begins on one page and ends on another is put together; without its middle it is lost."""
    big = b"\x08" + bytes(range(250)) * 4
    head, tags = OpusHead(1, 0).to_bytes(), ogg_page.tags_packet("x", {"T": "y" * 600})
    page = ogg_page.Page
    parts = [
        page(2, 0, 3, 0, bytes((len(head),)), head),
        page(0, -1, 3, 1, b"\xff\xff", tags[:510]),
        page(1, 0, 3, 2, bytes((len(tags) - 510,)), tags[510:]),
        page(0, 960, 3, 3, b"\x02\xff\xff", b"\x08\x01" + big[:510]),
        page(1, -1, 3, 4, b"\xff", big[510:765]),
        page(5, 2880, 3, 5, bytes((len(big) - 765, 2)), big[765:] + b"\x08\x02"),
    ]
    pages = list(map(ogg_page.page_bytes, parts))
    reader, packets = read(b"".join(pages), 13)
    assert reader.tags == {"T": "y" * 600}
    assert [packet.payload for packet in packets] == [b"\x08\x01", big, b"\x08\x02"]
    assert [packet.position for packet in packets] == [0, 960, 1920]
    _, packets = read(b"".join(pages[:4] + pages[5:]))
    assert [(packet.payload, packet.position) for packet in packets] == [
        (b"\x08\x01", 0),
        (b"\x08\x02", 1920),
    ]
    assert packets[1].discontinuity


def test_other_streams_are_passed_over_and_chained_ones_read() -> None:
    """A stream in between is not ours; one that follows the end is, and begins with a discontinuity."""
    first, second = written(PACKETS[:60]), OggOpusWriter(78, comments={"TITLE": "two"})
    alien = ogg_page.page_bytes(ogg_page.Page(2, 0, 4242, 0, b"\x05", b"video"))
    more = ogg_page.page_bytes(ogg_page.Page(0, 9, 4242, 1, b"\x05", b"video"))
    split = first.index(b"OggS", 100)
    chained = second.header() + b"".join(map(second.add, PACKETS[60:])) + second.close()
    reader, packets = read(alien + first[:split] + more + first[split:] + chained)
    assert [packet.payload for packet in packets] == PACKETS
    assert packets[60].discontinuity
    assert packets[60].position == 0
    assert reader.tags == {"TITLE": "two"}


def test_packets_that_are_no_opus_are_counted_and_left_out() -> None:
    """Garbage inside a whole page does not reach a decoder."""
    head = ogg_page.page_bytes(ogg_page.Page(2, 0, 3, 0, b"\x13", OpusHead(1, 0).to_bytes()))
    body = ogg_page.page_bytes(ogg_page.Page(4, 1920, 3, 1, b"\x02\x02\x02", b"\x08\x01\x03\x00\x08\x02"))
    reader, packets = read(head + body)
    assert [packet.payload for packet in packets] == [b"\x08\x01", b"\x08\x02"]
    assert reader.bad_packets == 1


GOOD = written(PACKETS[:20], page_ms=100)


@settings(deadline=None)
@given(data=st.data())
def test_no_damage_raises(data: st.DataObject) -> None:
    """Flipped, cut, doubled and inserted bytes: only packets that were written ever come out."""
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged)))
        kind = data.draw(st.sampled_from(("flip", "cut", "insert", "double")))
        if kind == "flip" and at < len(damaged):
            damaged[at] ^= data.draw(st.integers(1, 255))
        elif kind == "cut":
            del damaged[at : at + data.draw(st.integers(0, 200))]
        elif kind == "insert":
            damaged[at:at] = data.draw(st.binary(max_size=40) | st.just(b"OggS\0\0"))
        else:
            damaged[at:at] = GOOD[: data.draw(st.integers(0, 400))]
    _, packets = read(bytes(damaged), data.draw(st.sampled_from((64, 1 << 20))))
    known = set(PACKETS)
    assert all(packet.payload in known for packet in packets)
    assert all(0 < packet.ticks == opus_packet.duration_ticks(packet.payload) for packet in packets)
    assert all(packet.position >= 0 and 0 <= packet.keep_ticks <= packet.ticks for packet in packets)


any_page = st.builds(
    ogg_page.Page,
    flags=st.integers(0, 7),
    granule=st.integers(-(1 << 63), (1 << 63) - 1),
    serial=st.integers(1, 2),
    sequence=st.integers(0, 3),
    laces=st.lists(st.integers(0, 255), max_size=6).map(bytes),
    body=st.binary(min_size=6 * 255, max_size=6 * 255),
)


@settings(deadline=None)
@given(pages=st.lists(any_page, max_size=6))
def test_pages_of_any_content_do_not_raise(pages: list[ogg_page.Page]) -> None:
    """Whole pages whose contents make no sense, after two Opus heads."""
    reader = OggOpusReader()
    head = OpusHead(1, 312).to_bytes()
    for serial in (1, 2):
        reader.feed(ogg_page.page_bytes(ogg_page.Page(2, 0, serial, 0, bytes((len(head),)), head)))
    for page in pages:
        data = ogg_page.page_bytes(page._replace(body=page.body[: sum(page.laces)]))
        for packet in reader.feed(data):
            assert packet.ticks == opus_packet.duration_ticks(packet.payload)


@given(packet=st.binary(max_size=80))
def test_headers_of_any_bytes(packet: bytes) -> None:
    """Comment headers never raise; identification headers raise ValueError alone."""
    assert isinstance(ogg_page.parse_tags(b"OpusTags" + packet), dict)
    try:
        head = OpusHead.parse(b"OpusHead" + packet)
    except ValueError:
        return
    assert head.channels in (1, 2)


def test_comments_and_heads_come_back() -> None:
    """What was written is read, the first of a name counts, and names are compared without case."""
    packet = ogg_page.tags_packet("v", {"title": "a=b", "Artist": "ü", "TITLE": "second"})
    assert ogg_page.parse_tags(packet) == {"TITLE": "a=b", "ARTIST": "ü"}
    head = OpusHead(2, 3840, 16_000, -256)
    assert OpusHead.parse(head.to_bytes()) == head
