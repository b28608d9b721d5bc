"""Raw PCM as it comes: a pipe, an iterator or an asynchronous iterator."""

from __future__ import annotations

import asyncio
import os
import select
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from roomtone.media.pcm import Pcm
from roomtone.sources.cancel import CancelToken
from roomtone.sources.convert import Converter, SampleLedger
from roomtone.sources.errors import Cancelled, SourceError

PcmChunk = bytes | bytearray | memoryview | npt.NDArray[Any]
"""s16le bytes, or an array of int16 or of floats in -1..1, shape (samples,) or (samples, channels)."""

MAX_CHUNK_BYTES: Final = 8 << 20
MAX_WAITING_CHUNKS: Final = 8
_READ_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """rate_hz: 4,000..192,000. channels: 1 or 2, interleaved. Raises ValueError for others."""

    rate_hz: int = 48_000
    channels: int = 1

    def __post_init__(self) -> None:
        if not 4_000 <= self.rate_hz <= 192_000:
            raise ValueError(f"a sample rate is 4000..192000 Hz, not {self.rate_hz}")
        if self.channels not in (1, 2):
            raise ValueError(f"PCM has 1 or 2 channels here, not {self.channels}")


class PcmStream(ABC):
    """Chunks of PCM as blocks of int16 at another rate; base of the three below. For a worker thread."""

    def __init__(self, label: str, pcm_format: PcmFormat) -> None:
        self.label = label
        self.native_channels = pcm_format.channels
        self.skipped_packets = 0
        self._format = pcm_format
        self._rest = b""

    @abstractmethod
    def chunks(self) -> Generator[PcmChunk]:
        """What it gives, as it comes."""

    def close(self) -> None:  # noqa: B027 - there is nothing to close but in the callers' hands
        """Idempotent. What the caller opened (the pipe, the iterator) stays the caller's."""

    def blocks(self, rate_hz: int, channels: int, ledger: SampleLedger) -> Generator[Pcm]:
        """Everything, each chunk at once. Raises SourceError for chunks that are no such PCM."""
        from av import AudioFrame

        converter = Converter(rate_hz, channels, ledger, live=True)
        layout = "mono" if self._format.channels == 1 else "stereo"
        for chunk in self.chunks():
            samples = self._samples(chunk)
            if samples.size:
                frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
                frame.sample_rate = self._format.rate_hz
                yield from converter.push(frame)
        yield from converter.finish()

    def _samples(self, chunk: PcmChunk) -> npt.NDArray[np.int16]:
        """Interleaved, whole samples; half a sample at the end of bytes waits for the next chunk."""
        if isinstance(chunk, np.ndarray):
            return self._from_array(chunk)
        if not isinstance(chunk, bytes | bytearray | memoryview):
            raise SourceError("bad_pcm", f"{self.label} gave a {type(chunk).__name__}; give bytes or an array")
        data = self._rest + bytes(chunk)
        if len(data) > MAX_CHUNK_BYTES:
            raise SourceError("bad_pcm", f"{self.label} gave over {MAX_CHUNK_BYTES} bytes at once; give less")
        whole = len(data) - len(data) % (2 * self._format.channels)
        self._rest = data[whole:]
        return np.frombuffer(data[:whole], "<i2").astype(np.int16)

    def _from_array(self, chunk: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
        wanted = self._format.channels
        if chunk.ndim > 2 or (chunk.ndim == 2 and chunk.shape[1] != wanted):
            raise SourceError("bad_pcm", f"{self.label} gave the shape {chunk.shape}; give (samples, {wanted})")
        if chunk.nbytes > MAX_CHUNK_BYTES or chunk.size % wanted:
            raise SourceError("bad_pcm", f"{self.label} gave {chunk.size} values; give fewer, whole samples")
        if np.issubdtype(chunk.dtype, np.floating):
            scaled = np.nan_to_num(chunk.astype(np.float32)) * 32767
            chunk = np.rint(np.clip(scaled, -32768, 32767)).astype(np.int16)
        elif chunk.dtype != np.int16:
            raise SourceError("bad_pcm", f"{self.label} gave {chunk.dtype} samples; give int16 or floats")
        return np.ascontiguousarray(chunk).reshape(-1)


class PipePcm(PcmStream):
    """s16le from a file descriptor, such as standard input, until it ends."""

    def __init__(self, descriptor: int, label: str, pcm_format: PcmFormat, token: CancelToken) -> None:
        super().__init__(label, pcm_format)
        self._descriptor = descriptor
        self._token = token

    def chunks(self) -> Generator[PcmChunk]:
        wake, waker = os.pipe()
        try:
            with self._token.calling(lambda: _wake(waker)):
                while True:
                    ready, _, _ = select.select([self._descriptor, wake], [], [])
                    self._token.check()
                    if not ready:
                        continue
                    data = os.read(self._descriptor, _READ_BYTES)
                    if not data:
                        return
                    yield data
        except OSError as error:
            raise SourceError("read_failed", f"{self.label} cannot be read ({error.strerror})") from error
        finally:
            os.close(wake)
            os.close(waker)


class IteratorPcm(PcmStream):
    """From an ordinary iterator, called in the worker thread: its `next` cannot be interrupted."""

    def __init__(self, iterable: Iterable[PcmChunk], label: str, pcm_format: PcmFormat, token: CancelToken) -> None:
        super().__init__(label, pcm_format)
        self._iterable = iterable
        self._token = token

    def chunks(self) -> Generator[PcmChunk]:
        iterator = iter(self._iterable)
        while True:
            self._token.check()
            try:
                chunk = next(iterator)
            except StopIteration:
                return
            except Exception as error:  # the caller's code: whatever it raises ends this source, not the server
                raise SourceError("read_failed", f"{self.label} raised {error!r}") from error
            yield chunk


class AsyncPcm(PcmStream):
    """From an asynchronous iterator, which a task on its own loop pulls, a few chunks ahead of the worker.

    `start` and `stop` are called on the loop; the rest in the worker thread.
    """

    def __init__(
        self, iterable: AsyncIterable[PcmChunk], label: str, pcm_format: PcmFormat, token: CancelToken
    ) -> None:
        super().__init__(label, pcm_format)
        self._iterable = iterable
        self._token = token
        self._waiting: deque[PcmChunk] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._failure: SourceError | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._space = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._pump(), name="roomtone pcm source")

    async def stop(self) -> None:
        """Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def chunks(self) -> Generator[PcmChunk]:
        with self._token.calling(self._notify):
            while True:
                with self._changed:
                    while not self._waiting and not self._ended and not self._token.cancelled:
                        self._changed.wait()
                    self._token.check()
                    if not self._waiting:
                        break
                    chunk = self._waiting.popleft()
                    full = len(self._waiting) == MAX_WAITING_CHUNKS - 1
                if full:
                    self._tell_space()
                yield chunk
        if self._failure is not None:
            raise self._failure

    async def _pump(self) -> None:
        try:
            async for chunk in self._iterable:
                while not self._put(chunk):
                    await self._space.wait()
        except Exception as error:  # the caller's code, as in IteratorPcm
            self._failure = SourceError("read_failed", f"{self.label} raised {error!r}")
            self._failure.__cause__ = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _put(self, chunk: PcmChunk) -> bool:
        with self._changed:
            if len(self._waiting) >= MAX_WAITING_CHUNKS:
                self._space.clear()
                return False
            self._waiting.append(chunk)
            self._changed.notify_all()
            return True

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _tell_space(self) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._space.set)
        except RuntimeError as error:  # the loop was closed over us
            raise Cancelled from error


def _wake(descriptor: int) -> None:
    os.write(descriptor, b"\0")
