"""Mutes, roles and removals. What a moderator decided outlives a rejoin and cannot be undone by oneself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from roomtone.room.errors import RoomError
from roomtone.room.events import Role, TrackUpdated

if TYPE_CHECKING:
    from roomtone.room.room import Room
    from roomtone.room.seat import Seat
    from roomtone.room.track import Track

MAX_DECISIONS: Final = 10_000
"""Of each kind; at some 150 bytes, 1.5 MB a room."""

Action = Literal["mute", "unmute", "promote", "demote", "remove"]


@dataclass(slots=True)
class SeatModeration:
    """muted: everything, later tracks too. muted_tracks_owed: muted tracks that were closed; so many of the
    next ones open muted, or closing and opening again would undo a moderator's mute."""

    muted: bool = False
    muted_tracks_owed: int = 0


class Decisions:
    """By identity, for the life of the room: who stays muted, and which role a moderator gave.

    Past MAX_DECISIONS of a kind the oldest is forgotten for the next rejoin: identities may be made up at every
    visit, rooms may stand for months. A seat that is taken keeps what was decided about it.
    """

    def __init__(self) -> None:
        self._muted: dict[str, None] = {}
        self._roles: dict[str, Role] = {}

    def set_muted(self, identity: str, muted: bool) -> None:
        """A moderator muted or unmuted everything of that participant."""
        self._muted.pop(identity, None)
        if muted:
            self._muted[identity] = None
            _forget_oldest(self._muted)

    def set_role(self, identity: str, role: Role) -> None:
        """A moderator promoted or demoted that participant."""
        self._roles.pop(identity, None)
        self._roles[identity] = role
        _forget_oldest(self._roles)

    def apply(self, seat: Seat, *, stage: bool) -> None:
        """To a seat that was just made."""
        if not seat.grants.publish or seat.grants.hidden:
            return
        if stage and not seat.grants.moderate:
            seat.role = "listener"
        seat.role = self._roles.get(seat.identity, seat.role)
        seat.moderation.muted = seat.identity in self._muted


def _forget_oldest(decisions: dict[str, Any]) -> None:
    while len(decisions) > MAX_DECISIONS:
        del decisions[next(iter(decisions))]


def moderate(room: Room, seat: Seat, action: Action, now: float, track: int | None = None) -> None:
    """Carry out a command that was permitted. Raises RoomError unknown_track, not_permitted, invalid."""
    match action:
        case "mute" | "unmute":
            mute(room, seat, action == "mute", now, track)
        case "promote" | "demote":
            set_role(room, seat, "speaker" if action == "promote" else "listener", now)
        case "remove":
            room.unseat(seat, "removed", now, tell=True)
        case _:
            raise RoomError("invalid", f"action {action!r} is not known")


def mute(room: Room, seat: Seat, muted: bool, now: float, track: int | None) -> None:
    """A moderator's mute or unmute of one track, or of the participant (None): what it has and will open."""
    if track is None:
        seat.moderation.muted = muted
        seat.moderation.muted_tracks_owed = 0
        room.decisions.set_muted(seat.identity, muted)
        tracks = list(seat.tracks.values())
    elif track in seat.tracks:
        tracks = [seat.tracks[track]]
    else:
        raise RoomError("unknown_track", f"track {track} is not of {seat.identity!r}")
    set_muted(seat, tracks, muted, now, by_moderator=True)


def set_muted(seat: Seat, tracks: Iterable[Track], muted: bool, now: float, *, by_moderator: bool) -> None:
    """Block or unblock first, then tell: no packet after this call passes a mute."""
    changed = [track for track in tracks if track.set_muted(muted, by_moderator=by_moderator)]
    seat.gate()
    for track in changed:
        seat.room.bulletin.tell(TrackUpdated(track=track.view()), now)


def track_opened(seat: Seat, track: Track) -> None:
    """Let a new track start muted where a moderator wants it so."""
    if seat.moderation.muted:
        track.set_muted(True, by_moderator=True)
    elif seat.moderation.muted_tracks_owed:
        seat.moderation.muted_tracks_owed -= 1
        track.set_muted(True, by_moderator=True)
    seat.gate()


def track_closed(seat: Seat, track: Track) -> None:
    """Remember the mute of a single track."""
    if track.muted_by_moderator and not seat.moderation.muted:
        seat.moderation.muted_tracks_owed += 1


def set_role(room: Room, seat: Seat, role: Role, now: float) -> None:
    """Promote or demote. Open tracks stay open; a listener's packets are dropped. A raised hand goes down.

    Raises RoomError not_permitted for a promotion of somebody whose token does not allow to publish.
    """
    if role == "speaker" and (not seat.grants.publish or seat.grants.hidden):
        raise RoomError("not_permitted", f"the token of {seat.identity!r} does not allow to publish")
    room.decisions.set_role(seat.identity, role)
    if seat.role == role:
        return
    seat.role = role
    if role == "speaker":
        seat.hand_raised = False
    seat.changed(now)
