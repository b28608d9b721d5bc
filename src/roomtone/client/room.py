"""The room as a client sees it: join, publish, listen, talk, leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from weakref import WeakSet

from roomtone.client.commands import RoomCommands
from roomtone.client.errors import CommandLost, ConnectError, NotInRoom
from roomtone.client.events import Event, EventStream, EventWait, RoomEvent, State, StateChanged, as_event
from roomtone.client.feeds import start_reader
from roomtone.client.link import Introduction, Link
from roomtone.client.local_track import LocalTrack, close_unwanted
from roomtone.client.microphone import Microphone
from roomtone.client.mixing import MixStream
from roomtone.client.remote_track import RemoteTrack
from roomtone.client.room_statistics import RoomStatistics
from roomtone.client.roster import Roster
from roomtone.client.track_options import TrackOptions
from roomtone.client.tracks import Tracks
from roomtone.client.transport import Connector
from roomtone.media.delay import WEBSOCKET, JitterSettings
from roomtone.media.packet import Packet
from roomtone.protocol import messages
from roomtone.protocol.messages import ParticipantInfo, ServerMessage, SessionStarted, TrackOpened

if TYPE_CHECKING:
    from roomtone.sources.spec import SourceSpec


class Room(RoomCommands):
    """One session in one room; made by `roomtone.connect`. Enter it once.

    participant_id and permissions are known once joined. All methods belong on the loop it was entered on.
    """

    def __init__(
        self,
        connector: Callable[[], Connector],
        introduction: Introduction,
        *,
        jitter: JitterSettings = WEBSOCKET,
        reconnect: bool = True,
    ) -> None:
        super().__init__()
        self._connector = connector
        self._introduction = introduction
        self._reconnect = reconnect
        self._link: Link | None = None
        self._roster = Roster()
        self._tracks = Tracks(self, self._roster, jitter)
        self._streams: WeakSet[EventStream | EventWait[Any]] = WeakSet()
        self._ended = asyncio.Event()
        self._leaving: asyncio.Task[None] | None = None
        self.state: State = "connecting"
        self.error: ConnectError | None = None
        self.identity = ""
        self.participant_id = ""
        self.permissions: tuple[str, ...] = ()

    # --- joining and leaving --------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.join()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave()

    async def join(self) -> None:
        """Connect and take a seat; `async with` does it. Raises ConnectError: BadToken, RoomFull ..."""
        if self._link is not None:
            raise RuntimeError("a room is joined once; call roomtone.connect() again")
        self._link = Link(self._connector(), self._introduction, self, reconnect=self._reconnect)
        await self._link.start()

    async def leave(self) -> None:
        """Give the seat up, stop all tracks, close everything. May be called again.

        Goes on to its end, which takes a few seconds at most, even if the caller is cancelled meanwhile.
        """
        if self._link is None:
            return
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._leave(self._link), name="roomtone-leave")
        await asyncio.shield(self._leaving)

    async def _leave(self, link: Link) -> None:
        # A source's own clean-up may fail: that keeps neither the other tracks nor the seat.
        stopped = await asyncio.gather(*(track.stop() for track in self._tracks.local), return_exceptions=True)
        await link.leave()
        for failure in stopped:
            if isinstance(failure, Exception):
                raise failure

    async def wait_closed(self) -> None:
        """Until the session is over. Raises the ConnectError that ended it; returns after a leave."""
        self._live()
        await self._ended.wait()
        if self.error is not None:
            raise self.error

    # --- who is there ---------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The room's name."""
        return self._roster.name

    @property
    def metadata(self) -> str:
        """The room's metadata, as its creator set it."""
        return self._roster.metadata

    @property
    def participants(self) -> dict[str, ParticipantInfo]:
        """Everyone in the room by identity, this client included; hidden ones are not told."""
        return {info.identity: info for info in self._roster.participants.values()}

    @property
    def tracks(self) -> dict[int, RemoteTrack]:
        """Everybody else's tracks by track id."""
        return dict(self._tracks.remote)

    @property
    def local_tracks(self) -> list[LocalTrack]:
        """One's own tracks, oldest first."""
        return self._tracks.live

    @property
    def speakers(self) -> list[str]:
        """The identities of who speaks now, loudest first."""
        return [self._roster.identity(participant_id) for participant_id in self._roster.speakers]

    @property
    def statistics(self) -> RoomStatistics:
        """Counts since the room was joined, and the connection now."""
        link = self._live()
        rtt_ms = link.session.rtt_ms
        return RoomStatistics(
            rtt_ms=rtt_ms,
            offset_ms=link.session.offset_ms if rtt_ms is not None else None,
            reconnects=link.reconnects,
            received_frames=link.received_frames,
            stray_frames=self._tracks.stray_frames,
            dropped_frames=link.uplink.dropped_frames,
            buffered_bytes=link.buffered_bytes,
        )

    # --- speaking -------------------------------------------------------------------------------------------

    async def publish(
        self,
        source: SourceSpec,
        *,
        name: str = "",
        codec: str = "opus",
        bitrate_bps: int | None = None,
        frame_ms: float = 20,
        content: Literal["voice", "music"] = "voice",
        channels: int | None = None,
        sample_rate_hz: int | None = None,
        loop: bool = False,
        low_delay: bool = False,
        playout_interval_ms: int = 0,
    ) -> LocalTrack:
        """Open a track and play `source` into it, in real time.

        source: a path, an http(s) URL, a list of these, "-" (PCM on standard input), a Microphone, or an
        iterator or asynchronous iterator of PCM (s16le bytes, int16, or floats in -1..1). sample_rate_hz and
        channels describe PCM: its own for a Microphone, else 48,000 and 1 by default. channels of a file: as many
        as it has, at most 2, unless given. bitrate_bps: None for what suits content and channels. low_delay: see
        open_track; for live sound only. Raises SourceError for what cannot be read, MissingExtra, CommandRefused,
        ValueError for a setting out of range.
        """
        self._live()
        if sample_rate_hz is None:
            sample_rate_hz = int(getattr(source, "sample_rate_hz", 48_000))
        live = isinstance(source, AsyncIterable)
        if live:
            channels = channels or getattr(source, "channels", 1)
            if isinstance(source, Microphone):
                source.check()
        elif low_delay:
            raise ValueError("low_delay is for live sound: a microphone, an asynchronous iterator or write()")
        options = TrackOptions(
            name=name,
            codec=codec,
            bitrate_bps=bitrate_bps,
            frame_ms=frame_ms,
            content=content,
            channels=channels or 1,
            sample_rate_hz=sample_rate_hz,
            low_delay=low_delay,
            playout_interval_ms=playout_interval_ms,
        )
        if live:
            if loop:
                raise ValueError("an iterator plays once: it cannot be looped")
            track = await self._open(options)
            await track.play(track.make_pcm_source(source))
            return track
        return await self._publish_file(source, options, channels, loop)

    async def open_track(
        self,
        *,
        name: str = "",
        codec: str = "opus",
        bitrate_bps: int | None = None,
        frame_ms: float = 20,
        content: Literal["voice", "music"] = "voice",
        channels: int = 1,
        sample_rate_hz: int = 48_000,
        low_delay: bool = False,
        playout_interval_ms: int = 0,
    ) -> LocalTrack:
        """A track to write() PCM to, for a caller that keeps the time itself.

        bitrate_bps: None for what suits content and channels. low_delay: Opus looks 2.5 ms ahead instead of 6.5, and
        needs a higher bitrate for the same speech. Raises CommandRefused, ValueError for a setting out of range.
        """
        return await self._open(
            TrackOptions(
                name=name,
                codec=codec,
                bitrate_bps=bitrate_bps,
                frame_ms=frame_ms,
                content=content,
                channels=channels,
                sample_rate_hz=sample_rate_hz,
                low_delay=low_delay,
                playout_interval_ms=playout_interval_ms,
            )
        )

    async def mute(self, muted: bool = True) -> None:
        """Mute or unmute all of one's own tracks. Raises CommandRefused, NotInRoom after leaving."""
        self._live()
        if self._ended.is_set():
            raise NotInRoom("the room was left")
        for track in self.local_tracks:
            await (track.mute() if muted else track.unmute())

    # --- listening ------------------------------------------------------------------------------------------

    async def next_track(self, timeout: float | None = None) -> RemoteTrack:
        """The next remote track that this method has not told yet; those that were there at the start count.

        timeout: seconds. Raises TimeoutError, ConnectError where the session ended, NotInRoom after leaving.
        """
        self._live()
        async with asyncio.timeout(timeout):
            while True:
                track = self._tracks.next_unseen()
                if track is not None:
                    return track
                if self._ended.is_set():
                    raise self.error or NotInRoom("the room was left")
                await self._tracks.wait()

    def mix(self, sample_rate_hz: int = 48_000, frame_ms: int = 20, *, channels: int = 1) -> MixStream:
        """All remote tracks, mixed, in real time, from now on; the arguments as for RemoteTrack.frames.

        Raises ValueError for other settings, NotInRoom before joining.
        """
        self._live()
        return MixStream(self, sample_rate_hz=sample_rate_hz, frame_ms=frame_ms, channels=channels)

    def events(self) -> EventStream:
        """What happens from now on, as an asynchronous iterator of RoomEvents. Raises NotInRoom before joining."""
        self._live()
        stream = EventStream()
        if self._ended.is_set():
            stream.close(self.error)
        self._streams.add(stream)
        return stream

    def wait_for(
        self,
        kind: type[Event],
        where: Callable[[Event], bool] | None = None,
        *,
        timeout: float | None = None,
    ) -> EventWait[Event]:
        """The next event of that type for which `where` is true, from this call on; to be awaited, now or later.

        timeout: seconds from the await on. Awaiting raises TimeoutError, ConnectError or NotInRoom; the call itself
        NotInRoom before joining.
        """
        self._live()
        wait = EventWait(kind, where, timeout)
        if self._ended.is_set():
            wait.close(self.error)
        self._streams.add(wait)
        return wait

    def tell(self, message: messages.Message) -> None:
        """Send a message that is no command, as playout reports are; lost while the connection is."""
        if self._link is not None:
            self._link.tell(message)

    @property
    def end(self) -> tuple[bool, Exception | None]:
        """Whether the session is over, and the error that ended it."""
        return self._ended.is_set(), self.error

    # --- what the link tells (LinkListener) -----------------------------------------------------------------

    def on_started(self, message: SessionStarted) -> None:
        """See LinkListener."""
        again = self.state != "connecting"
        self.participant_id = message.participant_id
        self.identity = message.identity
        self.permissions = tuple(message.permissions)
        if message.resumed != "events":
            self._roster.load(message.room)
            self._tracks.match(self._live(), new_seat=message.resumed == "new" and again)
        if message.resumed == "new" and again:
            self._wish_again()
        self._change(StateChanged("joined"))

    def on_message(self, message: ServerMessage) -> None:
        """See LinkListener."""
        self._roster.apply(message)
        self._tracks.apply(message, asyncio.get_running_loop().time())
        event = as_event(message)
        if event is not None:
            self._emit(event)

    def on_packet(self, packet: Packet, now: float) -> None:
        """See LinkListener."""
        self._tracks.take(packet, now)

    def on_suspended(self, error: ConnectError) -> None:
        """See LinkListener."""
        if self.state != "reconnecting":
            self._change(StateChanged("reconnecting", error))

    def on_ended(self, error: ConnectError | None) -> None:
        """See LinkListener."""
        self.error = error
        self._ended.set()
        self._tracks.end(error)
        self._change(StateChanged("closed", error))
        for stream in tuple(self._streams):
            stream.close(error)

    # --- inside ---------------------------------------------------------------------------------------------

    def _live(self) -> Link:
        if self._link is None:
            raise NotInRoom("the room is not joined yet: `async with roomtone.connect(...) as room:`")
        return self._link

    def _change(self, event: StateChanged) -> None:
        self.state = event.state
        self._emit(event)

    def _emit(self, event: RoomEvent) -> None:
        for stream in tuple(self._streams):
            stream.put(event)

    async def _open(self, options: TrackOptions) -> LocalTrack:
        link = self._live()
        while True:
            opening = link.request(messages.TrackOpen, **options.opening())
            try:
                answer = await asyncio.shield(opening)
                break
            except CommandLost:  # the seat was lost in between: ask again in the new one
                continue
            except asyncio.CancelledError:
                opening.add_done_callback(partial(close_unwanted, link))
                raise
        assert isinstance(answer, TrackOpened)
        track = LocalTrack(link, answer.track, options)
        self._tracks.add(track)
        return track

    async def _publish_file(
        self, source: SourceSpec, options: TrackOptions, channels: int | None, loop: bool
    ) -> LocalTrack:
        reader = await start_reader(source, options, channels=channels, loop=loop)
        try:
            track = await self._open(options.with_channels(reader.channels))
        except BaseException:
            await reader.stop()
            raise
        await track.play(reader)
        return track
