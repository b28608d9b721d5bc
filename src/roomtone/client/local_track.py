"""A track of one's own: what is written or read from a source, encoded, paced and sent."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

from roomtone.client.encoding import FrameMaker, PcmLike
from roomtone.client.errors import CommandLost, CommandRefused, NotInRoom
from roomtone.client.feeds import Encoded, FrameSource, PcmSource
from roomtone.client.link import Answer, Link
from roomtone.client.track_options import LocalStatistics, TrackOptions
from roomtone.client.write_limit import MAX_AHEAD_S, WriteLimit
from roomtone.media.pacer import Pacer
from roomtone.media.packet import CLOCK_RATE_HZ, CODEC_NAMES
from roomtone.protocol.messages import (
    AudioEnd,
    DuckTrack,
    FlushTrack,
    Mute,
    TrackClock,
    TrackClose,
    TrackInfo,
    TrackOpened,
)
from roomtone.protocol.sender import TrackSender

CLOCK_INTERVAL_S: Final = 5.0
RESTART_S: Final = 0.2
"""A pause between two writes that is longer than this was heard as one, and begins a talkspurt."""
QUEUE_MS: Final = 500
"""How far a source may run ahead of what is released; what is more waits in the source."""


class LocalTrack:
    """One track of one's own, made by `room.publish` or `room.open_track`.

    id: the track's id in the room; it stays over a resume, and changes only when the seat was lost for good.
    muted: by oneself. muted_by_moderator: then nothing is sent either.
    """

    def __init__(self, link: Link, info: TrackInfo, options: TrackOptions) -> None:
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._sender = TrackSender(
            info.track,
            CODEC_NAMES[options.codec],
            sequence=random.getrandbits(16),
            timestamp=random.getrandbits(32),
        )
        self._maker: FrameMaker | None = None
        self._source: FrameSource | None = None
        self._pacer: Pacer[Encoded] = Pacer(max_ms=QUEUE_MS)
        self._space = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._feeder: asyncio.Task[None] | None = None
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._source_done = False
        self._clock_told_at = float("-inf")
        self._written_until = 0.0
        self._attached = True
        self._stopping: asyncio.Task[None] | None = None
        self._silenced = False
        self._bitrate_bps = options.encoder_bitrate_bps
        self._sent = 0
        self._dropped = 0
        link.uplink.take_dropped(info.track)  # of another track that had this id
        self._unsent_muted = 0
        self._write_limit = WriteLimit()
        self._early = 0
        self.options: Final = options
        self.muted = False
        self.muted_by_moderator = info.muted_by_moderator
        self.closed = False

    @property
    def id(self) -> int:
        """The track's id in the room."""
        return self._sender.track_id

    @property
    def name(self) -> str:
        """As it was opened."""
        return self.options.name

    @property
    def statistics(self) -> LocalStatistics:
        """What was sent so far."""
        self._count_dropped()
        return LocalStatistics(
            sent_frames=self._sent,
            dropped_frames=self._dropped,
            muted_frames=self._unsent_muted,
            early_frames=self._early,
            queued_ms=self._pacer.pending_ms,
            underruns=self._pacer.stats.underruns,
            bitrate_bps=self._bitrate_bps,
        )

    # --- live writing ---------------------------------------------------------------------------------------

    def write(self, pcm: PcmLike) -> None:
        """Send PCM at once, in frames; the caller keeps the time, as a sound device or a call does.

        pcm: as the track was opened: s16le bytes, int16, or floats in -1..1, at most 2 s. What does not fill a frame
        waits for the next. Frames that are over 2 s ahead of time are not sent, but counted. Raises ValueError for
        other samples and for more at once (publish() takes any length), NotInRoom once closed, RuntimeError on a
        track with a source.
        """
        if self.closed:
            raise NotInRoom("the track was closed")
        if self._source is not None:
            raise RuntimeError("this track plays a source; open another with room.open_track() to write")
        maker = self._make()
        if maker.seconds_of(pcm) > MAX_AHEAD_S:
            raise ValueError(f"write() takes at most {MAX_AHEAD_S:g} s at once; publish() takes any length")
        frames = maker.push(pcm)
        if not frames:
            return
        now = self._loop.time()
        pause_s = now - self._written_until
        if pause_s > RESTART_S:
            if self._written_until:
                # Nobody spoke meanwhile, but time went on; listeners go by the timestamps.
                self._sender.gap(round(pause_s * CLOCK_RATE_HZ))
            self._written_until = now
        for frame in frames:
            duration_s = frame.duration_ticks / CLOCK_RATE_HZ
            self._written_until += duration_s
            if self._write_limit.allows(duration_s, now):
                self._send(frame)
            else:
                self._early += 1
                self._sender.gap(frame.duration_ticks)

    def end_talkspurt(self) -> None:
        """The talker paused, push-to-talk was released: send the rest, and tell that the turn is over."""
        if self._source is None and self._maker is not None and not self.closed:
            for frame in self._maker.finish():
                self._send(frame, end=True)
        self._link.tell(AudioEnd(track=self.id))

    # --- control --------------------------------------------------------------------------------------------

    async def mute(self) -> None:
        """Send nothing, and tell so; a source goes on unheard. Raises CommandRefused."""
        await self._set_muted(True)

    async def unmute(self) -> None:
        """Send again. Raises CommandRefused."""
        await self._set_muted(False)

    async def flush(self) -> float:
        """Take back what nobody has heard yet, here and in every listener's buffer.

        How many milliseconds were thrown away on this side. Raises CommandRefused.
        """
        dropped_ms = self._pacer.pending_ms
        self._pacer.flush()
        self._space.set()
        if self._maker is not None:
            self._maker.clear()
        self._link.uplink.flush(self.id)
        self._sender.gap(0)  # the next frame begins a talkspurt
        await self._link.request(FlushTrack, track=self.id, from_sequence=self._sender.sequence)
        if self._source_done:
            self._finish()
        return dropped_ms

    async def duck(self, gain_db: float, ramp_ms: int = 50) -> None:
        """Ask every listener to play this track at gain_db, -60..0, reached in ramp_ms, 0..5,000."""
        await self._link.request(DuckTrack, track=self.id, gain_db=gain_db, ramp_ms=ramp_ms)

    async def wait(self) -> None:
        """Until the source is finished and all of it sent, or the track closed.

        Raises SourceError, or whatever else ended the source.
        """
        await asyncio.shield(self._finished)

    async def close(self) -> None:
        """Stop, and take the track out of the room. May be called again."""
        if self.closed:
            return
        try:
            await self.stop()
        finally:
            if self._link.session.state != "closed":
                await asyncio.gather(self._link.request(TrackClose, track=self.id), return_exceptions=True)

    # --- what the room does ---------------------------------------------------------------------------------

    async def play(self, source: FrameSource) -> None:
        """Send all of `source` at the speed of speech; it is stopped with the track."""
        self._source = source
        self._feeder = self._loop.create_task(self._feed(source), name="roomtone-feeder")

    def detach(self) -> None:
        """The seat was lost and the track with it: what is made until attach() is not sent."""
        self._count_dropped()
        self._attached = False

    def attach(self, answer: Answer) -> None:
        """The track was opened again in another session, under another id."""
        assert isinstance(answer, TrackOpened)
        old = self._sender
        self._link.uplink.forget(old.track_id)
        self._sender = TrackSender(answer.track.track, old.codec, sequence=old.sequence, timestamp=old.timestamp)
        self._link.uplink.take_dropped(self.id)
        self._attached = True
        self.muted_by_moderator = answer.track.muted_by_moderator
        if self.muted:
            consume(self._link.request(Mute, muted=True, track=self.id))

    def update(self, info: TrackInfo) -> None:
        """The room tells how the track stands now."""
        if info.muted_by_moderator != self.muted_by_moderator:
            self.muted_by_moderator = info.muted_by_moderator
            self._link.uplink.forget(self.id)

    def set_silenced(self, silenced: bool) -> None:
        """A listener on a stage is not heard: nothing is sent until the promotion."""
        if silenced != self._silenced:
            self._silenced = silenced
            self._link.uplink.forget(self.id)

    def set_bitrate(self, bitrate_bps: int) -> None:
        """The server asks for another bitrate; never more than the track was opened with."""
        self._bitrate_bps = min(bitrate_bps, self.options.encoder_bitrate_bps)
        if self._maker is not None:
            self._maker.set_bitrate(self._bitrate_bps)
        if self._source is not None:
            self._source.set_bitrate(self._bitrate_bps)

    def halt(self, error: Exception | None = None) -> None:
        """Send nothing more, from now on; wait() ends, by `error` where there is one. stop() gives the rest back."""
        if self.closed:
            return
        self._count_dropped()
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._feeder is not None:
            self._feeder.cancel()
        self._link.uplink.forget(self.id)
        self._finish(error)

    async def stop(self) -> None:
        """Stop sending and give everything back; the room is told by close() alone. May be called again.

        Goes on to its end even if the caller is cancelled meanwhile.
        """
        self.halt()
        if self._stopping is None:
            self._stopping = self._loop.create_task(self._give_back(), name="roomtone-track-stop")
        await asyncio.shield(self._stopping)

    async def _give_back(self) -> None:
        try:
            if self._feeder is not None:
                await asyncio.gather(self._feeder, return_exceptions=True)
            if self._source is not None:
                await self._source.stop()
        finally:
            if self._maker is not None:
                self._maker.close()

    @property
    def released(self) -> bool:
        """Whether stop() was called."""
        return self._stopping is not None

    # --- inside ---------------------------------------------------------------------------------------------

    async def _set_muted(self, muted: bool) -> None:
        before, self.muted = self.muted, muted
        self._link.uplink.forget(self.id)
        try:
            await self._link.request(Mute, muted=muted, track=self.id)
        except CommandLost:
            pass  # attach() tells the new seat
        except Exception:  # not of a cancelled caller: what was sent is not taken back
            self.muted = before
            raise

    def _make(self) -> FrameMaker:
        if self._maker is None:
            options = self.options
            self._maker = FrameMaker(
                options.codec,
                sample_rate_hz=options.sample_rate_hz,
                channels=options.channels,
                frame_ms=options.frame_ms,
                bitrate_bps=self._bitrate_bps,
                application=options.application,
            )
        return self._maker

    def make_pcm_source(self, pcm: Any) -> PcmSource:
        """An asynchronous iterator of PCM as this track's source."""
        return PcmSource(pcm, self._make())

    async def _feed(self, source: FrameSource) -> None:
        error: Exception | None = None
        frames = source.frames()
        try:
            async for frame in frames:
                while not self._pacer.push(frame, frame.duration_ticks):
                    self._space.clear()
                    await self._space.wait()
                self._schedule()
        except Exception as failure:  # the caller's iterator or file: wait() tells
            error = failure
        finally:
            self._source_done = True
            close = getattr(frames, "aclose", None)
            if close is not None:
                await close()
        if error is not None:
            self._finish(error)
        elif not self._pacer.pending_ms:
            self._finish()

    def _schedule(self) -> None:
        deadline = self._pacer.next_deadline()
        if self._timer is None and deadline is not None and not self.closed:
            self._timer = self._loop.call_at(deadline, self._release)

    def _release(self) -> None:
        self._timer = None
        pacer = self._pacer
        due = pacer.pop_due(self._loop.time())
        if pacer.gap_ticks:
            self._sender.gap(pacer.gap_ticks)
        last = self._source_done and not pacer.pending_ms
        for index, frame in enumerate(due, 1):
            self._send(frame, end=last and index == len(due))
        if due:
            self._space.set()
        if last:
            self._finish()
        else:
            self._schedule()

    def _send(self, frame: Encoded, *, end: bool = False) -> None:
        if self.muted or self.muted_by_moderator or self._silenced or not self._attached:
            self._unsent_muted += self._attached
            self._sender.gap(frame.duration_ticks)
            return
        now = self._loop.time()
        timestamp = self._sender.timestamp
        packet = self._sender.packet(frame.payload, frame.duration_ticks, level=frame.level, voice=frame.voice, end=end)
        self._sent += 1
        self._link.send_packet(packet, frame.duration_ticks)
        if now - self._clock_told_at >= CLOCK_INTERVAL_S:
            self._clock_told_at = now
            self._link.tell(TrackClock(track=self.id, timestamp=timestamp, sender_time_ms=now * 1_000))

    def _count_dropped(self) -> None:
        # Not once closed: somebody else's track may have the id by then.
        if self._attached and not self.closed:
            self._dropped += self._link.uplink.take_dropped(self.id)

    def _finish(self, error: Exception | None = None) -> None:
        if self._finished.done():
            return
        if error is None:
            self._finished.set_result(None)
        else:
            self._finished.set_exception(error)
            self._finished.exception()  # whoever does not wait is not to be told by the garbage collector


def consume(future: asyncio.Future[Answer]) -> None:
    """Nobody waits for this answer: keep its error from being reported as forgotten."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())


def close_unwanted(link: Link, opened: asyncio.Future[Answer]) -> None:
    """Whoever asked for this track is gone: take it out of the room again."""
    if opened.cancelled() or opened.exception() is not None or link.session.state == "closed":
        return
    answer = opened.result()
    if isinstance(answer, TrackOpened):
        try:
            consume(link.request(TrackClose, track=answer.track.track))
        except CommandRefused:
            pass  # 256 commands wait already: the track goes with the seat
