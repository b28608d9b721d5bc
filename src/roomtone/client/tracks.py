"""The tracks of a room, others' and one's own, through events, snapshots and new seats."""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import Final, Protocol

from roomtone.client.errors import CommandRefused
from roomtone.client.link import Answer, Link
from roomtone.client.local_track import LocalTrack, close_unwanted
from roomtone.client.remote_track import RemoteTrack
from roomtone.client.roster import Roster
from roomtone.media.delay import JitterSettings
from roomtone.media.packet import Packet
from roomtone.protocol import messages
from roomtone.protocol.messages import ServerMessage, TrackInfo

NEW_TRACK_BOUND: Final = 1_024


class _Owner(Protocol):
    participant_id: str

    def tell(self, message: messages.Message) -> None: ...


class Tracks:
    """remote: by track id. local: one's own, closed ones too, oldest first."""

    def __init__(self, owner: _Owner, roster: Roster, jitter: JitterSettings) -> None:
        self._owner = owner
        self._roster = roster
        self._jitter = jitter
        self._unseen: deque[RemoteTrack] = deque(maxlen=NEW_TRACK_BOUND)
        self._came = asyncio.Event()
        self.remote: Final[dict[int, RemoteTrack]] = {}
        self.local: Final[list[LocalTrack]] = []
        self.stray_frames = 0

    @property
    def live(self) -> list[LocalTrack]:
        """One's own tracks that are not closed."""
        return [track for track in self.local if not track.closed]

    def add(self, track: LocalTrack) -> None:
        """A track of one's own was opened."""
        self.local[:] = [one for one in self.local if not one.released]
        self.local.append(track)

    def next_unseen(self) -> RemoteTrack | None:
        """A remote track that was not told yet, the oldest first."""
        while self._unseen:
            track = self._unseen.popleft()
            if not track.closed:
                return track
        return None

    async def wait(self) -> None:
        """Until another remote track came, or the session ended."""
        self._came.clear()
        await self._came.wait()

    def take(self, packet: Packet, now: float) -> None:
        """A packet came; of a track that is not known it is counted."""
        track = self.remote.get(packet.track)
        if track is None:
            self.stray_frames += 1
        else:
            track.take(packet, now)

    def apply(self, message: ServerMessage, now: float) -> None:
        """One message, after the roster took it."""
        if isinstance(message, messages.TrackOpened | messages.TrackUpdated):
            self._told(message.track)
        elif isinstance(message, messages.TrackClosed | messages.ParticipantLeft):
            self._drop_gone()
        elif isinstance(message, messages.ParticipantUpdated):
            self._own_role()
        elif isinstance(message, messages.TrackFlushed) and message.track in self.remote:
            self.remote[message.track].flush(message.from_sequence, now)
        elif isinstance(message, messages.TrackDucked) and message.track in self.remote:
            self.remote[message.track].duck(message.gain_db, message.ramp_ms, now)
        elif isinstance(message, messages.SetBitrate):
            for track in self.live:
                if track.id == message.track:
                    track.set_bitrate(message.bitrate_bps)

    def match(self, link: Link, *, new_seat: bool) -> None:
        """The roster was loaded anew. In a new seat ids mean other tracks, and one's own are opened again."""
        if new_seat:
            self._close_remote(None)
        self._drop_gone()
        for info in self._roster.tracks.values():
            self._told(info)
        self._own_role()
        for track in self.live:
            if new_seat or track.id not in self._roster.tracks:
                track.detach()
                future = link.request(messages.TrackOpen, **track.options.opening())
                future.add_done_callback(partial(self._reopened, link, track))

    def end(self, error: Exception | None) -> None:
        """The session is over."""
        self._close_remote(error)
        for track in self.live:
            track.halt(error)
        self._came.set()

    def _told(self, info: TrackInfo) -> None:
        if info.participant_id == self._owner.participant_id:
            for track in self.live:
                if track.id == info.track:
                    track.update(info)
            return
        known = self.remote.get(info.track)
        if known is not None:
            known.info = info
            return
        identity = self._roster.identity(info.participant_id)
        remote = RemoteTrack(self._owner, info, identity, self._jitter)
        self.remote[info.track] = remote
        self._unseen.append(remote)
        self._came.set()

    def _own_role(self) -> None:
        """A demoted speaker keeps its tracks, but the room takes no audio of them."""
        own = self._roster.participants.get(self._owner.participant_id)
        for track in self.live:
            track.set_silenced(own is not None and own.role == "listener")

    def _drop_gone(self) -> None:
        for track_id in [track_id for track_id in self.remote if track_id not in self._roster.tracks]:
            self.remote.pop(track_id).close()

    def _close_remote(self, error: Exception | None) -> None:
        for track in self.remote.values():
            track.close(error)
        self.remote.clear()

    def _reopened(self, link: Link, track: LocalTrack, done: asyncio.Future[Answer]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if error is None:
            if not track.closed:
                track.attach(done.result())
            else:
                close_unwanted(link, done)
        elif isinstance(error, CommandRefused):
            track.halt(error)
        # After CommandLost or NotInRoom the next session, if there is one, opens it again.
