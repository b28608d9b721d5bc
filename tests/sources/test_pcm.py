from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.sources.cancel import CancelToken
from roomtone.sources.convert import SampleLedger
from roomtone.sources.errors import Cancelled, SourceError
from roomtone.sources.pcm import MAX_WAITING_CHUNKS, AsyncPcm, IteratorPcm, PcmFormat, PcmStream, PipePcm
from tests.sources.media import Pcm, tone


def collect(stream: PcmStream, rate_hz: int = 48_000, channels: int = 1) -> Pcm:
    blocks = list(stream.blocks(rate_hz, channels, SampleLedger(rate_hz)))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)


def iterating(*chunks: object, pcm_format: PcmFormat | None = None) -> IteratorPcm:
    return IteratorPcm(chunks, "the iterator", pcm_format or PcmFormat(), CancelToken())  # type: ignore[arg-type]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 700), max_size=12))
def test_bytes_may_be_cut_anywhere(cuts: list[int]) -> None:
    """Half samples wait for the other half; what comes out is what went in."""
    data = tone(2_000, 48_000).astype("<i2").tobytes()
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(data[at : at + cut])
        at += cut
    chunks.append(data[at:])
    assert np.array_equal(collect(iterating(*chunks)), tone(2_000, 48_000))


def test_arrays_of_int16_and_of_floats_are_taken() -> None:
    """Floats are scaled and clipped; not-a-number is silence."""
    floats = np.array([0.0, 0.5, 1.0, -1.0, 2.0, np.nan], np.float64)
    out = collect(iterating(np.array([1, 2], np.int16), floats))
    assert out.tolist() == [1, 2, 0, 16384, 32767, -32767, 32767, 0]


def test_stereo_is_interleaved_or_two_columns() -> None:
    """Both ways of giving it come out as (samples, 2)."""
    pcm_format = PcmFormat(48_000, 2)
    columns = tone(100, 48_000, channels=2)
    out = collect(iterating(columns, columns.tobytes(), pcm_format=pcm_format), channels=2)
    assert np.array_equal(out, np.concatenate([columns, columns]))


def test_another_rate_keeps_the_length() -> None:
    """16 kHz to 48 kHz: three for one, to the sample."""
    out = collect(iterating(*[tone(320, 16_000)] * 10, pcm_format=PcmFormat(16_000, 1)))
    assert len(out) == 9_600


@pytest.mark.parametrize(
    "chunk",
    ["text", 5, np.zeros(4, np.int32), np.zeros((2, 3), np.int16), np.zeros((1, 1, 1), np.int16), bytes(9 << 20)],
)
def test_what_is_no_pcm_is_refused(chunk: object) -> None:
    """With what to give instead, not with an exception from the depths."""
    with pytest.raises(SourceError, match="give") as caught:
        collect(iterating(chunk))
    assert caught.value.fault == "bad_pcm"


def test_formats_are_checked() -> None:
    """A rate or channel count that cannot be."""
    with pytest.raises(ValueError, match="sample rate"):
        PcmFormat(100)
    with pytest.raises(ValueError, match="channels"):
        PcmFormat(48_000, 3)


def test_an_iterator_that_raises_ends_the_source() -> None:
    """The caller's exception is named and chained."""

    def chunks() -> Iterator[bytes]:
        yield bytes(20)
        raise ZeroDivisionError("their fault")

    with pytest.raises(SourceError, match="their fault") as caught:
        collect(IteratorPcm(chunks(), "the iterator", PcmFormat(), CancelToken()))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_pipe_is_read_to_its_end() -> None:
    """The descriptor stays open: it is the caller's."""
    reading, writing = os.pipe()
    data = tone(20_000, 48_000)
    writer = threading.Thread(target=lambda: (os.write(writing, data.tobytes()), os.close(writing)))
    writer.start()
    out = collect(PipePcm(reading, "the pipe", PcmFormat(), CancelToken()))
    writer.join()
    os.close(reading)
    assert np.array_equal(out, data)


async def test_an_idle_pipe_is_left_when_cancelled() -> None:
    """Although nobody writes and nobody closes."""
    reading, writing = os.pipe()
    token = CancelToken()
    work = asyncio.ensure_future(asyncio.to_thread(collect, PipePcm(reading, "the pipe", PcmFormat(), token)))
    os.write(writing, bytes(10))
    token.cancel()
    with pytest.raises(Cancelled):
        await asyncio.wait_for(work, 5)
    os.close(reading)
    os.close(writing)


async def test_an_asynchronous_iterator_is_held_back() -> None:
    """It runs a few chunks ahead of the reader, not further."""
    given_out = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal given_out
        for _ in range(100):
            given_out += 1
            yield tone(480, 48_000).tobytes()

    stream = AsyncPcm(chunks(), "the iterator", PcmFormat(), CancelToken())
    stream.start()
    for _ in range(50):
        await asyncio.sleep(0)
    assert given_out == MAX_WAITING_CHUNKS + 1
    out = await asyncio.to_thread(collect, stream)
    await stream.stop()
    assert len(out) == 48_000


async def test_an_asynchronous_iterator_that_raises_ends_the_source() -> None:
    """After what it gave before."""

    async def chunks() -> AsyncIterator[bytes]:
        yield bytes(2_000)
        raise ZeroDivisionError("their fault")

    stream = AsyncPcm(chunks(), "the iterator", PcmFormat(), CancelToken())
    stream.start()
    with pytest.raises(SourceError, match="their fault"):
        await asyncio.to_thread(collect, stream)
    await stream.stop()


async def test_stopping_ends_an_asynchronous_iterator_where_it_waits() -> None:
    """Its `finally` runs."""
    closed = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        try:
            await asyncio.Event().wait()
            yield b""
        finally:
            closed.set()

    stream = AsyncPcm(chunks(), "the iterator", PcmFormat(), CancelToken())
    stream.start()
    await asyncio.sleep(0)
    await stream.stop()
    await stream.stop()
    assert closed.is_set()
