"""A room's open tracks, their numbers and their counters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from roomtone.room.errors import RoomError
from roomtone.room.events import BitrateRequested
from roomtone.room.options import RoomOptions
from roomtone.room.speakers import ActiveSpeakers
from roomtone.room.track import Spread, Track
from roomtone.room.track_format import TrackFormat

if TYPE_CHECKING:
    from roomtone.room.seat import Seat

TRACK_IDS: Final = 1 << 16


class TrackTable:
    """Opens and closes tracks; their owners' `tracks`, the speakers' ranking and the counters follow."""

    def __init__(self, options: RoomOptions, speakers: ActiveSpeakers, spread: Spread | None) -> None:
        self._options = options
        self._speakers = speakers
        self._spread = spread
        self._tracks: dict[int, Track] = {}
        self._next_id = 0
        self._past_in = 0
        self._past_delivered = 0
        self._past_dropped: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._tracks)

    def __iter__(self) -> Iterator[Track]:
        return iter(self._tracks.values())

    def get(self, track_id: int) -> Track:
        """Raises RoomError unknown_track."""
        track = self._tracks.get(track_id)
        if track is None:
            raise RoomError("unknown_track", f"track {track_id} is not open")
        return track

    def open(self, seat: Seat, track_format: TrackFormat) -> Track:
        """Raises RoomError limit_reached."""
        limit = self._options.max_tracks_per_participant
        if len(seat.tracks) >= limit:
            raise RoomError("limit_reached", f"a participant has at most {limit} tracks")
        track_format.check_bitrate(self._options.max_bitrate_bps)
        track_id = self._free_id()
        talker = self._speakers.add(track_id, seat.participant_id)
        track = Track(track_id, seat, track_format, talker, self._options, self._spread)
        self._tracks[track_id] = seat.tracks[track_id] = track
        self._next_id = (track_id + 1) % TRACK_IDS
        return track

    def close(self, track: Track) -> None:
        """Forget an open track, but for what it counted."""
        del self._tracks[track.id]
        del track.seat.tracks[track.id]
        self._speakers.remove(track.id)
        self._past_in += track.packets_in
        self._past_delivered += track.packets_delivered
        _add(self._past_dropped, track.packets_dropped)

    def judge_bitrates(self, now: float, *, anybody_weak: bool) -> None:
        """Ask the owners of tracks that no listener keeps up with for less, and later for more again."""
        for track in tuple(self._tracks.values()):
            if track.format.codec != "opus" or not (anybody_weak or track.ladder.step):
                continue
            weak = sum(seat.weak for seat in track.hearing)
            bitrate_bps = track.ladder.judge(weak, len(track.hearing), now)
            if bitrate_bps is not None and track.seat.active:
                track.seat.notify(BitrateRequested(track=track.id, bitrate_bps=bitrate_bps), now)

    def packets_in(self) -> int:
        """All packets that open and closed tracks were given."""
        return self._past_in + sum(track.packets_in for track in self._tracks.values())

    def packets_delivered(self) -> int:
        """The sum of the listeners of every forwarded packet."""
        return self._past_delivered + sum(track.packets_delivered for track in self._tracks.values())

    def packets_dropped(self) -> dict[str, int]:
        """By reason."""
        dropped = dict(self._past_dropped)
        for track in self._tracks.values():
            _add(dropped, track.packets_dropped)
        return dropped

    def _free_id(self) -> int:
        """The next number in turn, so that a late packet does not meet a new track of its old number."""
        for step in range(TRACK_IDS):
            track_id = (self._next_id + step) % TRACK_IDS
            if track_id not in self._tracks:
                return track_id
        raise RoomError("limit_reached", f"a room has at most {TRACK_IDS} tracks")


def _add(counts: dict[str, int], more: dict[str, int]) -> None:
    for reason, count in more.items():
        counts[reason] = counts.get(reason, 0) + count
