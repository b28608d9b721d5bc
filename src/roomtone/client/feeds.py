"""What a local track plays: an iterator of PCM, or a file that its own thread has decoded and encoded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from roomtone.client.encoding import FrameMaker

if TYPE_CHECKING:
    from roomtone.sources.reader import EncodedSource  # PyAV takes 57 ms: only for those who read files


class Encoded(Protocol):
    """One codec frame. duration_ticks: 48 kHz ticks. level: 0..127 -dBov. voice: something is to be heard."""

    @property
    def payload(self) -> bytes: ...
    @property
    def duration_ticks(self) -> int: ...
    @property
    def level(self) -> int: ...
    @property
    def voice(self) -> bool: ...


class FrameSource(Protocol):
    """Encoded frames in order; an iterator of PCM or a file, already encoded."""

    def frames(self) -> AsyncIterator[Encoded]: ...
    def set_bitrate(self, bitrate_bps: int) -> None: ...
    async def stop(self) -> None: ...


class PcmSource:
    """An asynchronous iterator of PCM as a FrameSource."""

    def __init__(self, pcm: Any, maker: FrameMaker) -> None:
        self._pcm = pcm
        self._maker = maker

    async def frames(self) -> AsyncIterator[Encoded]:
        rest = b""
        async for chunk in self._pcm:
            if isinstance(chunk, bytes | bytearray | memoryview):
                # An HTTP response, for one, comes in pieces that end anywhere, in the middle of a sample too.
                data = rest + bytes(chunk)
                whole = len(data) - len(data) % self._maker.sample_bytes
                chunk, rest = data[:whole], data[whole:]
            for frame in self._maker.push(chunk):
                yield frame
        for frame in self._maker.finish():
            yield frame

    def set_bitrate(self, bitrate_bps: int) -> None:
        self._maker.set_bitrate(bitrate_bps)

    async def stop(self) -> None:
        close = getattr(self._pcm, "aclose", None)
        try:
            if close is not None:
                await close()
        finally:
            self._maker.close()


class ReaderSource:
    """A started EncodedSource as a FrameSource."""

    def __init__(self, source: EncodedSource) -> None:
        self.source: Final = source

    async def frames(self) -> AsyncIterator[Encoded]:
        while (frame := await self.source.get()) is not None:
            yield frame

    def set_bitrate(self, bitrate_bps: int) -> None:
        self.source.set_bitrate(bitrate_bps)

    async def stop(self) -> None:
        await self.source.stop()
