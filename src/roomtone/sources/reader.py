"""A source as encoded frames: decoded, resampled and encoded in one worker thread, a second ahead.

PyAV and libopus let go of the interpreter lock, so a server's event loop hardly notices. The loop's side
never blocks: it takes what is ready.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal

import numpy as np

from roomtone.media import opus_packet
from roomtone.media.codec import CODEC_RATES_HZ, FrameEncoder, make_encoder
from roomtone.media.level import rfc6464_level
from roomtone.media.opus import FRAME_DURATIONS_MS, MAX_BITRATE_BPS, MIN_BITRATE_BPS, Application
from roomtone.media.packet import CLOCK_RATE_HZ, CODEC_NAMES, Codec
from roomtone.media.pcm import Pcm
from roomtone.sources.cancel import CancelToken
from roomtone.sources.convert import Framer
from roomtone.sources.errors import Cancelled, SourceError
from roomtone.sources.pcm import PcmFormat
from roomtone.sources.playlist import Playlist
from roomtone.sources.policy import SourcePolicy
from roomtone.sources.queue import FrameQueue
from roomtone.sources.spec import SourceSpec, describe, openers_of

STOP_WITHIN_S: Final = 0.1
MAX_WARNINGS: Final = 32
AUDIBLE_LEVEL: Final = 50
"""A frame at -50 dBov or louder counts as active where the codec itself says nothing of speech."""
_BITRATES_BPS: Final = {
    ("voice", 1): 32_000,
    ("voice", 2): 48_000,
    ("music", 1): 64_000,
    ("music", 2): 96_000,
}

_log = logging.getLogger("roomtone.sources")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """codec: a name of media.packet.CODEC_NAMES. channels: 1, 2 or None, as many as the first item has.

    bitrate_bps: None for one that suits content and channels (32,000 mono voice .. 96,000 stereo music).
    frame_ms: 2.5, 5, 10, 20, 40 or 60. loop: True for ever, or how many times. ahead_ms: how much is kept
    encoded. pcm: what "-" and iterators give. complexity: Opus, 0..10. Raises ValueError for anything else.
    """

    codec: str = "opus"
    bitrate_bps: int | None = None
    channels: int | None = None
    frame_ms: float = 20
    content: Literal["voice", "music"] = "music"
    loop: bool | int = False
    ahead_ms: float = 1_000
    complexity: int = 8
    pcm: PcmFormat = field(default_factory=PcmFormat)

    def __post_init__(self) -> None:
        if self.codec not in CODEC_NAMES:
            raise ValueError(f"codec is one of {', '.join(CODEC_NAMES)}, not {self.codec!r}")
        if self.channels not in (None, 1, 2):
            raise ValueError(f"channels is 1, 2 or None, not {self.channels}")
        if self.frame_ms not in FRAME_DURATIONS_MS:
            raise ValueError(f"frame_ms is one of {', '.join(f'{ms:g}' for ms in FRAME_DURATIONS_MS)}")
        if self.content not in ("voice", "music"):
            raise ValueError(f"content is voice or music, not {self.content!r}")
        if self.bitrate_bps is not None and not MIN_BITRATE_BPS <= self.bitrate_bps <= MAX_BITRATE_BPS:
            raise ValueError(f"bitrate_bps is {MIN_BITRATE_BPS}..{MAX_BITRATE_BPS}, not {self.bitrate_bps}")
        if not isinstance(self.loop, bool) and self.loop < 1:
            raise ValueError(f"loop is True, False or a number of times from 1, not {self.loop}")
        if not 0 < self.ahead_ms <= 60_000:
            raise ValueError(f"ahead_ms is over 0 and at most 60,000, not {self.ahead_ms}")
        if not 0 <= self.complexity <= 10:
            raise ValueError(f"complexity is 0..10, not {self.complexity}")

    @property
    def loops(self) -> int | None:
        """How many times it plays, None for ever."""
        if isinstance(self.loop, bool):
            return None if self.loop else 1
        return self.loop

    def default_bitrate_bps(self, channels: int) -> int:
        return self.bitrate_bps or _BITRATES_BPS[self.content, channels]


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One codec frame. duration_ticks: 48 kHz ticks. level: 0..127 -dBov. voice: something is to be heard."""

    payload: bytes
    duration_ticks: int
    level: int
    voice: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceStatistics:
    """seconds_read: of sound, decoded so far. loops: rounds that were finished. item: what is read now."""

    item: str
    seconds_read: float
    frames: int
    loops: int
    skipped_packets: int
    skipped_items: int
    queued: int


class EncodedSource:
    """Reads `spec` in a thread of its own. `async with` starts and stops it; all methods belong on the loop.

    warn: called on the loop with one line for each item that is left out. After the last frame `get` gives
    None, or raises the SourceError that ended it. Stopping takes at most about 0.1 s, whatever the source
    hangs on, and leaves no thread, file or socket, but for a thread inside a name look-up or a caller's
    iterator, which ends when that returns.
    """

    def __init__(
        self,
        spec: SourceSpec,
        policy: SourcePolicy,
        options: SourceOptions | None = None,
        *,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self.options: Final = options or SourceOptions()
        self.label: Final = describe(spec)
        self.codec: Final[Codec] = CODEC_NAMES[self.options.codec]
        self.warnings: deque[str] = deque(maxlen=MAX_WARNINGS)
        self.channels = 0
        self._warn_caller = warn
        self._token = CancelToken()
        openers, self._pump, repeatable = openers_of(spec, policy, self.options.pcm, self._token)
        loops = self.options.loops
        if loops != 1 and not repeatable:
            raise ValueError("a pipe or an iterator plays once: it cannot be looped")
        self._playlist = Playlist(openers, self._token, loops=loops, warn=self._warn)
        self._rate_hz = CODEC_RATES_HZ[self.codec]
        self._frame_samples = round(self._rate_hz * self.options.frame_ms / 1000)
        self._frame_ticks = self._frame_samples * CLOCK_RATE_HZ // self._rate_hz
        self._queue: FrameQueue[EncodedFrame] = FrameQueue(
            max(2, round(self.options.ahead_ms / self.options.frame_ms)), self._token
        )
        self._wanted_bitrate_bps = 0
        self._frames = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._opened: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._silence: EncodedFrame | None = None

    async def __aenter__(self) -> EncodedSource:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Returns once the first item is open and its channels known. Raises SourceError, and is stopped."""
        if self._thread is not None:
            raise RuntimeError("a source is started once")
        loop = self._loop = asyncio.get_running_loop()
        self._opened, self._gone = loop.create_future(), loop.create_future()
        self._opened.add_done_callback(_seen)
        self._queue.bind(loop)
        if self._pump is not None:
            self._pump.start()
        self._thread = threading.Thread(target=self._run, name="roomtone source", daemon=True)
        self._thread.start()
        try:
            await asyncio.shield(self._opened)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Idempotent; what was not taken is thrown away."""
        self._token.cancel()
        self._queue.clear()
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(SourceError("stopped", f"{self.label} was stopped before it was open"))
        if self._pump is not None:
            await self._pump.stop()
        thread, gone = self._thread, self._gone
        if thread is None or gone is None or not thread.is_alive():
            return
        until = time.monotonic() + STOP_WITHIN_S
        await asyncio.wait([gone], timeout=STOP_WITHIN_S)
        if gone.done():
            thread.join(max(0.0, until - time.monotonic()))  # it has nothing left to do but to return
        if thread.is_alive():
            _log.warning("%s does not let go yet; its thread ends when it does", self.label)

    def take(self, most: int) -> list[EncodedFrame]:
        """Up to that many frames, those that are ready, oldest first."""
        return self._queue.take(most)

    async def get(self) -> EncodedFrame | None:
        """The next frame, None after the last. Raises the SourceError that ended it. One caller at a time."""
        while True:
            frames = self._queue.take(1)
            if frames:
                return frames[0]
            if self.ended:
                if self._queue.error is not None:
                    raise self._queue.error
                return None
            ready = asyncio.get_running_loop().create_future()
            self.when_ready(lambda ready=ready: ready.done() or ready.set_result(None))  # type: ignore[misc]
            await ready

    async def __aiter__(self) -> AsyncIterator[EncodedFrame]:
        while (frame := await self.get()) is not None:
            yield frame

    def when_ready(self, callback: Callable[[], object]) -> None:
        """Call back once, on the loop, when a frame can be taken or the source has ended."""
        self._queue.when_ready(callback)

    @property
    def ended(self) -> bool:
        """Whether no frame is left and none will come."""
        return self._queue.drained

    @property
    def error(self) -> SourceError | None:
        """What ended it, if not its own end. Set when the worker is done: the last frames may still wait."""
        return self._queue.error

    @property
    def silence(self) -> EncodedFrame:
        """One frame of silence in this source's format, for the end of a talkspurt. Once started."""
        if self._silence is None:
            encoder = self._make_encoder()
            shape = (self._frame_samples,) if self.channels == 1 else (self._frame_samples, self.channels)
            payload = encoder.encode(np.zeros(shape, np.int16))
            encoder.close()
            self._silence = EncodedFrame(payload, self._frame_ticks, 127, False)
        return self._silence

    @property
    def bitrate_bps(self) -> int:
        """What is asked of the encoder."""
        return self._wanted_bitrate_bps

    def set_bitrate(self, bitrate_bps: int) -> None:
        """From the next frame to be encoded, `ahead_ms` from now; brought within what Opus can do."""
        self._wanted_bitrate_bps = min(MAX_BITRATE_BPS, max(MIN_BITRATE_BPS, bitrate_bps))

    @property
    def statistics(self) -> SourceStatistics:
        playlist = self._playlist
        return SourceStatistics(
            item=playlist.label or self.label,
            seconds_read=playlist.samples / self._rate_hz,
            frames=self._frames,
            loops=playlist.rounds,
            skipped_packets=playlist.skipped_packets,
            skipped_items=playlist.skipped_items,
            queued=len(self._queue),
        )

    # --- the worker thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        error: SourceError | None = None
        try:
            self._read()
        except Cancelled:
            pass
        except SourceError as failure:
            error = failure
        except Exception as failure:
            _log.exception("reading %s failed", self.label)
            reason = f"{self.label} could not be read ({failure!r}); please report this"
            error = SourceError("read_failed", reason)
            error.__cause__ = failure
        finally:
            self._playlist.close()
            self._queue.end(error)
            self._tell(self._settle, error)

    def _read(self) -> None:
        native = self._playlist.open_first()
        self.channels = self.options.channels or min(2, native)
        self._wanted_bitrate_bps = self._wanted_bitrate_bps or self.options.default_bitrate_bps(self.channels)
        encoder = self._make_encoder()
        try:
            self._tell(self._announce)
            framer = Framer(self._frame_samples, self.channels)
            with closing(self._playlist.blocks(self._rate_hz, self.channels)) as blocks:
                for block in blocks:
                    for pcm in framer.push(block):
                        self._emit(encoder, pcm)
            for pcm in framer.finish():
                self._emit(encoder, pcm)
        finally:
            encoder.close()

    def _emit(self, encoder: FrameEncoder, pcm: Pcm) -> None:
        wanted = self._wanted_bitrate_bps
        if self.codec is Codec.OPUS and encoder.bitrate_bps != wanted:
            encoder.bitrate_bps = wanted
        payload = encoder.encode(pcm)
        level = rfc6464_level(pcm)
        voice = opus_packet.voice_flag(payload) if self.codec is Codec.OPUS else None
        if voice is None:
            voice = level <= AUDIBLE_LEVEL
        self._frames += 1
        self._queue.put(EncodedFrame(payload, self._frame_ticks, level, voice))

    def _make_encoder(self) -> FrameEncoder:
        music = self.options.content == "music"
        return make_encoder(
            self.codec,
            self.channels,
            self._rate_hz,
            bitrate_bps=self._wanted_bitrate_bps,
            complexity=self.options.complexity,
            application=Application.AUDIO if music else Application.VOIP,
        )

    def _warn(self, line: str) -> None:
        self.warnings.append(line)
        if self._warn_caller is not None:
            self._tell(self._warn_caller, line)

    def _tell(self, function: Callable[..., object], *arguments: object) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            pass  # the loop was closed over us: nobody is there to be told

    def _announce(self) -> None:
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    def _settle(self, error: SourceError | None) -> None:
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(error or SourceError("stopped", f"{self.label} was stopped"))
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)


def _seen(future: asyncio.Future[None]) -> None:
    """Whoever waited may be gone: no complaint that nobody looked at the exception."""
    if not future.cancelled():
        future.exception()


def open_source(
    spec: SourceSpec,
    policy: SourcePolicy,
    options: SourceOptions | None = None,
    *,
    warn: Callable[[str], None] | None = None,
) -> EncodedSource:
    """`async with open_source("music.mp3", SourcePolicy.local()) as source:`; see EncodedSource."""
    return EncodedSource(spec, policy, options, warn=warn)
