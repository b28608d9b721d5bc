"""What a local track plays: an iterator of PCM, or a file that its own thread has decoded and encoded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

from roomtone.client.encoding import FrameMaker
from roomtone.client.errors import SourceError
from roomtone.client.track_options import TrackOptions
from roomtone.sources import errors
from roomtone.sources.pcm import PcmFormat
from roomtone.sources.policy import SourcePolicy
from roomtone.sources.reader import EncodedSource, SourceOptions
from roomtone.sources.spec import SourceSpec


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
            try:
                frames = self._maker.push(chunk)
            except (TypeError, ValueError) as error:
                raise SourceError("bad_pcm", f"the PCM iterator gave what is no PCM: {error}") from error
            for frame in frames:
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

    @property
    def channels(self) -> int:
        """As many as its frames have."""
        return self.source.channels

    async def frames(self) -> AsyncIterator[Encoded]:
        try:
            while (frame := await self.source.get()) is not None:
                yield frame
        except errors.SourceError as error:
            raise SourceError.of(error) from error

    def set_bitrate(self, bitrate_bps: int) -> None:
        self.source.set_bitrate(bitrate_bps)

    async def stop(self) -> None:
        await self.source.stop()


async def start_reader(source: SourceSpec, options: TrackOptions, *, channels: int | None, loop: bool) -> ReaderSource:
    """A file, a URL, a list, a pipe or an ordinary iterator, opened. channels: None for as many as it has.

    Raises SourceError where it cannot be, ValueError for settings that it cannot have.
    """
    try:
        reader = EncodedSource(
            source,
            SourcePolicy.local(),
            SourceOptions(
                codec=options.codec,
                bitrate_bps=options.bitrate_bps,
                channels=channels,
                frame_ms=options.frame_ms,
                content=options.content,
                loop=loop,
                pcm=PcmFormat(options.sample_rate_hz, channels or 1),
            ),
        )
        await reader.start()
    except errors.SourceError as error:
        raise SourceError.of(error) from error
    return ReaderSource(reader)
