"""Plays a source into a room, in real time, for hours: a file, a URL, a pipe, an iterator or a playlist.

One timer on absolute deadlines and no task: the pacer says when, the source's thread is a second ahead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from roomtone.media.pacer import Pacer
from roomtone.media.packet import (
    CLOCK_RATE_HZ,
    FLAG_TALKSPURT_END,
    FLAG_TALKSPURT_START,
    Packet,
)
from roomtone.media.sequence import SEQUENCE_MODULUS, TIMESTAMP_MODULUS
from roomtone.participants.lateness import Lateness
from roomtone.room.errors import RoomError, SeatGone
from roomtone.room.events import BitrateRequested, ParticipantUpdated, Removed, RoomEvent, TrackUpdated
from roomtone.room.grants import Grants
from roomtone.room.room import Room
from roomtone.room.seat import Seat
from roomtone.sources.errors import SourceError
from roomtone.sources.policy import SourcePolicy
from roomtone.sources.reader import EncodedFrame, EncodedSource, SourceOptions
from roomtone.sources.spec import SourceSpec

State = Literal["starting", "playing", "finished", "stopped", "failed"]

READY_MS: Final = 200
"""How much the pacer holds; the rest of what is encoded waits in the source."""
EARLY_TIMER_S: Final = 0.001
"""A loop whose clock counts whole milliseconds, as uvloop's, fires early by up to half of one: that is due."""
UNDERRUN_MS: Final = 100
"""How long nothing is heard before a source that is too slow counts as one, and the talkspurt as ended."""
DEFAULT_SERVER_POLICY: Final = SourcePolicy()

_log = logging.getLogger("roomtone.broadcaster")


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastOptions(SourceOptions):
    """As SourceOptions, and: lead_ms, how far ahead of the clock frames are sent (0..1,000).

    linger_ms: how long the track stays open after its last sample was due, for the listeners' buffers.
    """

    lead_ms: float = 60
    linger_ms: float = 500
    track_name: str = ""
    metadata: str = ""

    def __post_init__(self) -> None:
        SourceOptions.__post_init__(self)
        if not 0 <= self.lead_ms <= 1_000:
            raise ValueError(f"lead_ms is 0..1000, not {self.lead_ms}")
        if not 0 <= self.linger_ms <= 10_000:
            raise ValueError(f"linger_ms is 0..10000, not {self.linger_ms}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastStatus:
    """item: what is read now. seconds_played: of the source, muted or not. error: one line, "" where none.

    underruns: how often the source was too slow and silence was heard. late_*: how late frames were sent.
    """

    state: State
    item: str
    seconds_played: float
    error: str
    muted: bool
    underruns: int
    frames: int
    loops: int
    bitrate_bps: int
    skipped_packets: int
    skipped_items: int
    warnings: tuple[str, ...]
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float


class Broadcaster:
    """A participant that only publishes. All methods belong on the event loop.

    clock: monotonic seconds, the room's `now`; the loop's own time by default. Who calls `start` calls
    `stop`.
    """

    def __init__(
        self,
        room: Room,
        source: SourceSpec,
        *,
        identity: str,
        name: str = "",
        policy: SourcePolicy = DEFAULT_SERVER_POLICY,
        options: BroadcastOptions | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.options: Final = options or BroadcastOptions()
        self.identity: Final = identity
        self.name: Final = name
        self._room = room
        self._source = EncodedSource(source, policy, self.options)
        self._pacer: Pacer[EncodedFrame] = Pacer(lead_ms=self.options.lead_ms, restart_ms=UNDERRUN_MS)
        self._clock = clock
        self._state: State = "starting"
        self._error = ""
        self._lateness = Lateness()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._done: asyncio.Event = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None
        self._seat: Seat | None = None
        self._track = -1
        self._muted = False
        self._demoted = False
        self._armed_for = 0.0
        self._gone_because: str = "left"
        self._sequence = 0
        self._timestamp = 0
        self._in_talkspurt = False
        self._heard_until = 0.0
        self._ticks_played = 0
        self._frames = 0
        self._underruns = 0

    @property
    def label(self) -> str:
        """The source, in one short line."""
        return self._source.label

    @property
    def track(self) -> int:
        """Its track's id, -1 before it was opened."""
        return self._track

    @property
    def status(self) -> BroadcastStatus:
        source = self._source.statistics
        return BroadcastStatus(
            state=self._state,
            item=source.item,
            seconds_played=self._ticks_played / CLOCK_RATE_HZ,
            error=self._error,
            muted=self._muted,
            underruns=self._underruns,
            frames=self._frames,
            loops=source.loops,
            bitrate_bps=self._source.bitrate_bps,
            skipped_packets=source.skipped_packets,
            skipped_items=source.skipped_items,
            warnings=tuple(self._source.warnings),
            late_p50_ms=self._lateness.quantile_ms(0.5),
            late_p99_ms=self._lateness.quantile_ms(0.99),
            late_max_ms=self._lateness.max_ms,
        )

    async def start(self) -> None:
        """Open the source, take a seat and play. Raises SourceError or RoomError; nothing is left then."""
        if self._loop is not None or self._state != "starting":
            raise RuntimeError("a broadcaster is started once, and not after it was stopped")
        self._loop = asyncio.get_running_loop()
        if self._clock is None:
            self._clock = self._loop.time
        try:
            await self._source.start()
            if self._over:
                return
            self._take_seat(self._clock())
        except BaseException as error:
            stopped = self._over and isinstance(error, SourceError)
            self._finish("failed", str(error) or type(error).__name__)
            await self.wait()
            if stopped:
                return  # by `stop`, meanwhile: not a fault of the source
            raise
        self._state = "playing"
        self._tick()

    async def stop(self) -> None:
        """Leave the room at once and let go of the source. Idempotent."""
        self._finish("stopped", "")
        await self.wait()

    async def wait(self) -> BroadcastStatus:
        """Until the source has been played to its end, failed or was stopped. Raises nothing."""
        await self._done.wait()
        if self._closing is not None:
            await asyncio.shield(self._closing)
        return self.status

    # --- Participant ----------------------------------------------------------------------------------------

    def deliver(self, packet: Packet, now: float) -> None:
        """It does not listen."""

    def notify(self, event: RoomEvent, now: float) -> None:
        if isinstance(event, BitrateRequested) and event.track == self._track:
            ours = self.options.default_bitrate_bps(self._source.channels)
            self._source.set_bitrate(min(event.bitrate_bps, ours))
        elif isinstance(event, TrackUpdated) and event.track.track == self._track:
            self._block(event.track.muted or event.track.muted_by_moderator, self._demoted)
        elif isinstance(event, ParticipantUpdated) and event.participant.identity == self.identity:
            self._block(self._muted, event.participant.role == "listener")
        elif isinstance(event, Removed) and self._loop is not None:
            # Not at once: the room is in the middle of something.
            self._gone_because = event.reason
            self._loop.call_soon(self._finish, "stopped", event.reason)

    def _block(self, muted: bool, demoted: bool) -> None:
        if (self._muted or self._demoted) and not (muted or demoted):
            self._in_talkspurt = False
        self._muted, self._demoted = muted, demoted

    # --- playing --------------------------------------------------------------------------------------------

    def _take_seat(self, now: float) -> None:
        grants = Grants(publish=True, subscribe=False, data=False)
        self._seat = self._room.join(
            self,
            self.identity,
            grants,
            now,
            name=self.name,
            kind="broadcaster",
            metadata=self.options.metadata,
        )
        track = self._seat.open_track(
            self.options.codec,
            now,
            channels=self._source.channels,
            frame_ms=self.options.frame_ms,
            content=self.options.content,
            name=self.options.track_name,
        )
        self._track = track.id

    def _tick(self) -> None:
        """Send what is due and arrange to be called again. The only timer's callback."""
        if self._state != "playing":
            return
        try:
            self._step()
        except SeatGone:
            self._finish("stopped", self._gone_because)
        except RoomError as error:
            self._finish("failed", str(error))
        except Exception as error:
            _log.exception("playing %s failed", self.label)
            self._finish("failed", f"playing failed ({error!r}); please report this")

    def _step(self) -> None:
        assert self._clock is not None
        now = self._clock()
        if self._armed_for - EARLY_TIMER_S <= now < self._armed_for:
            now = self._armed_for
        if not self._pacer.pending_ms:
            self._refill()
        self._send_due(now)
        # Only now: taking frames wakes the source's thread, which then competes for the interpreter.
        self._refill()
        deadline = self._pacer.next_deadline()
        if deadline is not None:
            self._armed_for = deadline
            self._call_at(deadline)
        elif self._source.ended:
            self._end_source(now)
        else:
            self._wait_for_source(now)

    def _refill(self) -> None:
        missing_ms = READY_MS - self._pacer.pending_ms
        if missing_ms > 0:
            for frame in self._source.take(int(missing_ms / self.options.frame_ms) + 1):
                self._pacer.push(frame, frame.duration_ticks)

    def _send_due(self, now: float) -> None:
        deadline = self._pacer.next_deadline()
        talkspurts = self._pacer.stats.talkspurts
        due = self._pacer.pop_due(now)
        if not due or deadline is None:
            return
        if self._pacer.stats.talkspurts != talkspurts:
            self._in_talkspurt = False
            self._heard_until = now
            self._timestamp += self._pacer.gap_ticks
        elif deadline == self._armed_for:  # else the source was late, not the timer
            self._lateness.add(now - deadline)
        if not self._pacer.pending_ms:
            self._refill()  # for only then is it known whether these are the last
        last = self._source.ended and self._pacer.pending_ms == 0
        for index, frame in enumerate(due):
            self._send(frame, now, ends=last and index == len(due) - 1)
            self._heard_until += frame.duration_ticks / CLOCK_RATE_HZ
            self._timestamp += frame.duration_ticks
            self._ticks_played += frame.duration_ticks

    def _send(self, frame: EncodedFrame, now: float, *, ends: bool = False) -> None:
        if self._muted or self._demoted:
            return  # time goes on
        flags = FLAG_TALKSPURT_END if ends else 0
        if not self._in_talkspurt:
            flags |= FLAG_TALKSPURT_START
        self._in_talkspurt = not ends
        packet = Packet(
            self._track,
            self._sequence % SEQUENCE_MODULUS,
            self._timestamp % TIMESTAMP_MODULUS,
            frame.payload,
            codec=self._source.codec,
            flags=flags,
            level=frame.level,
            voice=frame.voice,
        )
        self._sequence += 1
        self._frames += 1
        assert self._seat is not None
        self._seat.publish(packet, now)

    def _wait_for_source(self, now: float) -> None:
        """Nothing to send: the source is slower than time, or just as fast."""
        self._source.when_ready(self._tick)
        silent_at = self._heard_until + UNDERRUN_MS / 1000
        if now < silent_at:
            self._call_at(silent_at)
        elif self._in_talkspurt:
            # What comes next starts anew, with the pause in its timestamp. Until then the listeners should
            # know that nothing is missing.
            self._underruns += 1
            self._pacer.end()
            self._send(self._source.silence, now, ends=True)
            self._in_talkspurt = False

    def _end_source(self, now: float) -> None:
        error = self._source.error
        leave_at = self._heard_until + self.options.linger_ms / 1000
        if self._in_talkspurt:  # its last frame was sent before it was known to be the last
            self._send(self._source.silence, now, ends=True)
        if now < leave_at:
            self._call_at(leave_at)
        elif error is not None:
            self._finish("failed", str(error))
        else:
            self._finish("finished", "")

    def _call_at(self, when: float) -> None:
        assert self._loop is not None
        assert self._clock is not None
        if self._timer is not None:
            self._timer.cancel()
        if self._clock == self._loop.time:
            self._timer = self._loop.call_at(when, self._tick)
        else:
            self._timer = self._loop.call_later(max(0.0, when - self._clock()), self._tick)

    @property
    def _over(self) -> bool:
        return self._state in ("finished", "stopped", "failed")

    # --- closing --------------------------------------------------------------------------------------------

    def _finish(self, state: State, error: str) -> None:
        """The first call decides."""
        if self._over:
            return
        self._state, self._error = state, error
        if self._timer is not None:
            self._timer.cancel()
        seat, clock = self._seat, self._clock
        if seat is not None and clock is not None and not seat.gone:
            seat.leave(clock())
        if self._loop is not None:
            self._closing = self._loop.create_task(self._source.stop(), name="roomtone broadcaster closing")
        self._done.set()
