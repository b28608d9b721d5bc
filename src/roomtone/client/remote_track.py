"""Someone else's track: decoded frames in real time, or the raw packets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol
from weakref import ReferenceType, WeakSet, ref

import numpy as np

from roomtone.client.cadence import Cadence
from roomtone.client.playout import Frame, Playout, pull_ms_of
from roomtone.client.queues import DropOldest
from roomtone.media.delay import JitterSettings
from roomtone.media.jitter_statistics import JitterStatistics
from roomtone.media.packet import Packet
from roomtone.protocol.messages import Message, TrackInfo
from roomtone.protocol.messages import Playout as PlayoutReport

PACKET_BOUND: Final = 512
"""Some 10 s of 20 ms frames for a reader of packets() that does not come by."""
MAX_SKIP_MS: Final = 2_000
"""A jitter buffer holds no more than this, so there is no use in pulling more at once."""


class _Owner(Protocol):
    def tell(self, message: Message) -> None: ...


class PacketStream:
    """The raw packets of one track, from the call of packets() on."""

    def __init__(self) -> None:
        self._queue: DropOldest[Packet] = DropOldest(PACKET_BOUND)

    @property
    def dropped(self) -> int:
        """Packets that were pushed out unread, the oldest first."""
        return self._queue.dropped

    def put(self, packet: Packet) -> None:
        """One packet came."""
        self._queue.put(packet)

    def close(self, error: Exception | None = None) -> None:
        """The track ended; what is queued is still given out."""
        self._queue.close(error)

    def __aiter__(self) -> PacketStream:
        return self

    async def __anext__(self) -> Packet:
        return await self._queue.get()


class FrameStream:
    """Decoded frames in real time. Nothing runs between two reads but the jitter buffer's filling.

    Ends when the track was closed and everything of it was heard; raises the room's error where the session ended
    by one.
    """

    def __init__(self, playout: Playout, frame_ms: int, on_end: Callable[[Playout, float], None]) -> None:
        self._playout = playout
        # A long frame is gathered as its time passes: taken at once it would have to wait in the buffer before.
        self._pulls = frame_ms // playout.frame_ms
        self._parts: list[Frame] = []
        self._cadence = Cadence(playout.frame_ms / 1000)
        self._on_end = on_end
        self._skipped_pulls = 0
        self.error: Exception | None = None

    @property
    def skipped_frames(self) -> int:
        """Frames that a consumer over 200 ms late did not get."""
        return -(-self._skipped_pulls // self._pulls)

    @property
    def statistics(self) -> JitterStatistics:
        """The jitter buffer's."""
        return self._playout.statistics

    @property
    def playout(self) -> Playout:
        """The machinery below."""
        return self._playout

    def __aiter__(self) -> FrameStream:
        return self

    async def __anext__(self) -> Frame:
        playout, parts = self._playout, self._parts
        loop = asyncio.get_running_loop()
        while len(parts) < self._pulls:
            if not playout.finished:
                skipped = await self._cadence.wait()
                for _ in range(min(skipped, MAX_SKIP_MS // playout.frame_ms)):
                    playout.pull(loop.time())
                self._skipped_pulls += skipped
            if playout.finished and not parts:
                self._end()
            parts.append(playout.pull(loop.time()))
        self._parts = []
        if len(parts) == 1:
            return parts[0]
        return Frame(np.concatenate([part.pcm for part in parts]), parts[0].sample_rate_hz, parts[0].timestamp)

    def _end(self) -> None:
        self._on_end(self._playout, asyncio.get_running_loop().time())
        if self.error is not None:
            raise self.error
        raise StopAsyncIteration


class RemoteTrack:
    """A track that somebody else publishes. `info` is kept up to date; `identity` is its owner's.

    output_latency_ms: how long a frame takes from here to the ear; set it to what your sound device says, for
    playout reports carry it.
    """

    def __init__(self, owner: _Owner, info: TrackInfo, identity: str, settings: JitterSettings) -> None:
        self._owner = owner
        self._settings = settings
        self._streams: WeakSet[FrameStream] = WeakSet()
        self._playouts: WeakSet[Playout] = WeakSet()
        self._raw: WeakSet[PacketStream] = WeakSet()
        self._reporter: ReferenceType[Playout] | None = None
        self._reported_at = 0.0
        self._underruns = 0
        self._last: JitterStatistics | None = None
        self._end_told = False
        self._error: Exception | None = None
        self.info = info
        self.identity: Final = identity
        self.output_latency_ms = 0.0
        self.received_packets = 0
        self.closed = False

    @property
    def id(self) -> int:
        """The track's id in the room."""
        return self.info.track

    @property
    def name(self) -> str:
        """As its owner named it."""
        return self.info.name

    @property
    def muted(self) -> bool:
        """By its owner or by a moderator."""
        return self.info.muted or self.info.muted_by_moderator

    def frames(
        self,
        sample_rate_hz: int = 48_000,
        frame_ms: int = 20,
        *,
        channels: int | None = None,
        jitter: JitterSettings | None = None,
    ) -> FrameStream:
        """Decoded frames in real time, from now on, through a jitter buffer of their own.

        sample_rate_hz: 4,000..192,000; where a frame is not whole samples, such as 10 ms at 22,050 Hz, frames differ
        by one. frame_ms: 10 to 1,000 in steps of 10. channels: 1 or 2, None for the track's own. jitter: None for
        the room's settings. A consumer that comes up to 200 ms late catches up; beyond that the oldest is skipped.
        Raises ValueError for other settings.
        """
        playout = self.playout(sample_rate_hz, pull_ms_of(frame_ms), channels=channels, jitter=jitter)
        stream = FrameStream(playout, frame_ms, self._pulled)
        stream.error = self._error
        self._streams.add(stream)
        return stream

    def playout(
        self,
        sample_rate_hz: int = 48_000,
        frame_ms: int = 20,
        *,
        channels: int | None = None,
        jitter: JitterSettings | None = None,
    ) -> Playout:
        """What frames() is made of, for a caller that has a clock of its own, as a sound device has."""
        playout = Playout(
            self.info,
            jitter or self._settings,
            sample_rate_hz=sample_rate_hz,
            channels=channels or self.info.channels,
            frame_ms=frame_ms,
            on_pull=self._pulled,
        )
        if self.closed:
            playout.end()
        self._playouts.add(playout)
        playout.on_gone(self._keep)
        return playout

    def packets(self) -> PacketStream:
        """The packets as they come, undecoded, from now on; a reader that is 512 behind loses the oldest."""
        stream = PacketStream()
        if self.closed:
            stream.close(self._error)
        self._raw.add(stream)
        return stream

    @property
    def statistics(self) -> JitterStatistics | None:
        """Of the jitter buffer that is listened to, or was until last; None where nobody has listened yet."""
        playout = self._listening or next(iter(self._playouts), None)
        return playout.statistics if playout is not None else self._last

    def _keep(self, last: JitterStatistics) -> None:
        self._last = last

    # --- what the room tells --------------------------------------------------------------------------------

    def take(self, packet: Packet, now: float) -> None:
        """A packet came."""
        self.received_packets += 1
        for playout in self._playouts:
            playout.push(packet, now)
        for stream in self._raw:
            stream.put(packet)

    def flush(self, from_sequence: int, now: float) -> None:
        """The owner takes back everything before `from_sequence`."""
        for playout in self._playouts:
            playout.flush(from_sequence, now)
        self._report(now)

    def duck(self, gain_db: float, ramp_ms: float, now: float) -> None:
        """The owner asks for another volume."""
        for playout in self._playouts:
            playout.duck(gain_db, ramp_ms)
        self._report(now)

    def close(self, error: Exception | None = None) -> None:
        """The track, or the session by `error`, is over."""
        if self.closed:
            return
        self.closed = True
        self._error = error
        for playout in self._playouts:
            playout.end()
        for frames in self._streams:
            frames.error = error
        for packets in self._raw:
            packets.close(error)

    # --- playback truth -------------------------------------------------------------------------------------

    @property
    def _listening(self) -> Playout | None:
        """Whose position is reported: the first that pulled, as long as it lives."""
        return self._reporter() if self._reporter is not None else None

    def _pulled(self, playout: Playout, now: float) -> None:
        interval_ms = self.info.playout_interval_ms
        if not interval_ms:
            return
        if self._listening is None:
            self._reporter = ref(playout)
        if playout is not self._listening:
            return
        if playout.finished:
            if not self._end_told:
                self._end_told = True
                self._report(now)
            return
        underruns = playout.statistics.underruns
        if underruns > self._underruns or now - self._reported_at >= interval_ms / 1000 - 0.001:
            self._report(now)

    def _report(self, now: float) -> None:
        playout = self._listening
        if playout is None or playout.timestamp is None or not self.info.playout_interval_ms:
            return
        statistics = playout.statistics
        self._reported_at = now
        self._underruns = statistics.underruns
        self._owner.tell(
            PlayoutReport(
                track=self.id,
                timestamp=playout.timestamp,
                output_latency_ms=self.output_latency_ms,
                buffered_ms=round(min(60_000.0, statistics.buffered_ms), 1),
                underruns=self._underruns,
            )
        )
