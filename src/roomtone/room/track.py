"""One participant's stream of packets and the tuple of those who hear it. The server's hot path is here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from roomtone.media.packet import CLOCK_RATE_HZ, CODEC_NAMES, Packet
from roomtone.media.sequence import TIMESTAMP_MODULUS, timestamp_difference
from roomtone.room.bitrate import MUSIC_STEPS_BPS, VOICE_STEPS_BPS, BitrateLadder
from roomtone.room.events import TrackView
from roomtone.room.options import RoomOptions
from roomtone.room.speakers import Talker
from roomtone.room.track_format import TrackFormat

if TYPE_CHECKING:
    from roomtone.room.seat import Seat

Deliver = Callable[[Packet, float], None]
Spread = Callable[[Packet, tuple[Deliver, ...], float], None]

BURST_S: Final = 1.0
"""How far ahead of its bitrate a track may run: TCP stalls and then delivers at once."""


class Track:
    """A track of a seat.

    last_sequence is of the last packet that came, forwarded or not; last_timestamp of the last one forwarded;
    both wrap as sent and are None before the first. listeners: the bound `deliver` of all who hear the track,
    remade at the first packet after a change.
    """

    __slots__ = (
        "_attention",
        "_blocked",
        "_budget_due",
        "_fresh",
        "_gap",
        "_hearing",
        "_music",
        "_seconds_per_byte",
        "_spread",
        "_spread_above",
        "_spreading",
        "_stale",
        "_view",
        "codec",
        "format",
        "id",
        "ladder",
        "last_sequence",
        "last_timestamp",
        "listeners",
        "muted",
        "muted_by_moderator",
        "packets_delivered",
        "packets_dropped",
        "packets_in",
        "seat",
        "talker",
    )

    def __init__(
        self,
        track_id: int,
        seat: Seat,
        track_format: TrackFormat,
        talker: Talker,
        options: RoomOptions,
        spread: Spread | None,
    ) -> None:
        self.id = track_id
        self.seat = seat
        self.format = track_format
        self.codec = CODEC_NAMES[track_format.codec]
        self.muted = False
        self.muted_by_moderator = False
        self.last_sequence: int | None = None
        self.last_timestamp: int | None = None
        self.packets_in = 0
        self.packets_delivered = 0
        self.packets_dropped: dict[str, int] = {}
        self.talker = talker
        self._music = track_format.content == "music"
        self.ladder = BitrateLadder(MUSIC_STEPS_BPS if self._music else VOICE_STEPS_BPS)
        self.listeners: tuple[Deliver, ...] = ()
        self._hearing: dict[Seat, Deliver] = {}
        self._fresh: set[Seat] = set()
        self._stale = False
        self._gap = False
        self._attention = False
        self._blocked: str | None = None
        self._budget_due = 0.0
        self._seconds_per_byte = 8 / options.max_bitrate_bps
        self._spread = spread
        self._spreading: Spread | None = None
        self._spread_above = options.spread_above
        self._view: TrackView | None = None

    # --- packets --------------------------------------------------------------------------------------------

    def publish(self, packet: Packet, now: float) -> None:
        """Forward one packet of this track, or drop and count it. The codec is the caller's to check."""
        self.packets_in += 1
        self.last_sequence = packet.sequence
        if self._blocked is not None:
            self._drop(self._blocked)
            return
        # Virtual scheduling (ITU-T I.371, the generic cell rate algorithm): when the bytes so far were due.
        due = self._budget_due
        if due < now:
            due = now
        due += len(packet.data) * self._seconds_per_byte
        if due - now > BURST_S:
            self._drop("bitrate")
            return
        self._budget_due = due
        if self._attention:
            self._forward_with_care(packet, now)
        else:
            for deliver in self.listeners:
                deliver(packet, now)
        self.packets_delivered += len(self.listeners)
        self.last_timestamp = packet.timestamp
        self.talker.observe(packet.level, packet.voice or self._music, now)

    def _forward_with_care(self, packet: Packet, now: float) -> None:
        """Once after a change, and always in rooms that are delivered in slices."""
        if self._stale:
            self.listeners = tuple(self._hearing.values())
            self._stale = False
        if self._gap:
            packet = packet.discontinuous
            self._gap = False
            self._fresh.clear()
        listeners = self.listeners
        if self._spread is not None and len(listeners) > self._spread_above:
            # For good: a packet in a loop must not overtake the slices that are still on their way.
            self._spreading = self._spread
        spread = self._spreading
        self._attention = spread is not None
        fresh = self._fresh
        if not fresh:
            self._loop(spread, packet, listeners, now)
            return
        self._fresh = set()
        first = tuple(deliver for seat, deliver in self._hearing.items() if seat in fresh)
        others = tuple(deliver for seat, deliver in self._hearing.items() if seat not in fresh)
        self._loop(spread, packet.discontinuous, first, now)
        self._loop(spread, packet, others, now)

    @staticmethod
    def _loop(spread: Spread | None, packet: Packet, listeners: tuple[Deliver, ...], now: float) -> None:
        if spread is not None:
            if listeners:
                spread(packet, listeners, now)
            return
        for deliver in listeners:
            deliver(packet, now)

    def _drop(self, reason: str) -> None:
        self.packets_dropped[reason] = self.packets_dropped.get(reason, 0) + 1
        self._gap = self._attention = True

    # --- who hears it ---------------------------------------------------------------------------------------

    @property
    def hearing(self) -> dict[Seat, Deliver]:
        """The seats that hear the track now; not to be changed from outside."""
        return self._hearing

    def add_listener(self, seat: Seat) -> None:
        """Its first packet is `discontinuous`, unless it is the track's first too."""
        self._hearing[seat] = seat.deliver
        if self.packets_in:
            self._fresh.add(seat)
        self._stale = self._attention = True

    def remove_listener(self, seat: Seat) -> None:
        """Nothing reaches the seat from here on."""
        del self._hearing[seat]
        self._fresh.discard(seat)
        self._stale = self._attention = True

    def block(self, reason: str | None) -> None:
        """Forward nothing for `reason`, or everything again (None)."""
        if reason is not None and self._blocked is None:
            self.talker.silence()
            if self.packets_in:
                self._gap = self._attention = True
        self._blocked = reason

    @property
    def blocked(self) -> str | None:
        """Why the track's packets are dropped; None when they are not."""
        return self._blocked

    @property
    def frame_ms(self) -> float:
        """The sender's usual frame, 2.5 to 60."""
        return self.format.frame_ms

    # --- what was sent, how it is seen ----------------------------------------------------------------------

    def clamp_played(self, timestamp: int) -> int | None:
        """`timestamp`, or the end of the last forwarded frame if that is older; None if nothing was sent."""
        last = self.last_timestamp
        if last is None:
            return None
        end = (last + round(self.format.frame_ms * CLOCK_RATE_HZ / 1000)) % TIMESTAMP_MODULUS
        return end if timestamp_difference(timestamp, end) > 0 else timestamp

    def set_muted(self, muted: bool, *, by_moderator: bool) -> bool:
        """True if that changed something. Who may do so, and what follows, is for the seat to know."""
        before = self.muted_by_moderator if by_moderator else self.muted
        if before == muted:
            return False
        if by_moderator:
            self.muted_by_moderator = muted
        else:
            self.muted = muted
        self._view = None
        return True

    def view(self) -> TrackView:
        """The track as others see it."""
        view = self._view
        if view is None:
            view = self._view = TrackView(
                track=self.id,
                participant_id=self.seat.participant_id,
                codec=self.format.codec,
                channels=self.format.channels,
                frame_ms=self.format.frame_ms,
                content=self.format.content,
                name=self.format.name,
                muted=self.muted,
                muted_by_moderator=self.muted_by_moderator,
                playout_interval_ms=self.format.playout_interval_ms,
            )
        return view
