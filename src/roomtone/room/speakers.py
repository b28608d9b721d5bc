"""Who speaks now, from the levels in the packets' headers alone: nothing is decoded.

The level is RFC 6464's: 0..127 -dBov and a voice bit; its section 5 says that single values are of little use
and have to be smoothed. The rule is that of LiveKit's server (pkg/sfu/audio: active level 35, 40 % of the
time, over 400 ms), sampled faster: a talker is *active* in an interval when at least ACTIVE_SHARE of its
packets carry the voice bit and a level of ACTIVE_LEVEL or louder. That 0 or 1 is smoothed exponentially,
quickly upwards and slowly downwards, and goes through a Schmitt trigger: speaking begins 100 to 200 ms after
the first word, outlives pauses of half a second, and ends 0.7 s after the last word.
"""

from __future__ import annotations

from math import exp
from typing import Final

from roomtone.media.packet import MAX_LEVEL

INTERVAL_S: Final = 0.1
"""At 60 ms, the longest frame, each interval still sees a packet."""
ACTIVE_LEVEL: Final = 35
"""-dBov; LiveKit's default. Speech at a normal distance lies at 15 to 30."""
ACTIVE_SHARE: Final = 0.4
"""LiveKit's default percentile, 40: one loud packet in an interval, a click, is not speech."""
ATTACK_S: Final = 0.15
RELEASE_S: Final = 0.4
SPEAKING_ABOVE: Final = 0.5
SILENT_BELOW: Final = 0.2
LEVEL_S: Final = 0.3
OVERTAKE_DB: Final = 6.0
"""So much louder must one of two speakers be to be ranked before the other: nobody flaps in and out."""

_EPSILON_S: Final = 1e-6


class Talker:
    """What is remembered of one track. `observe` runs for every packet and only counts."""

    __slots__ = ("_active", "_level_sum", "_packets", "level", "participant_id", "presence", "speaking")

    def __init__(self, participant_id: str) -> None:
        self.participant_id = participant_id
        self.presence = 0.0
        self.level = float(MAX_LEVEL)
        self.speaking = False
        self._packets = 0
        self._active = 0
        self._level_sum = 0

    def observe(self, level: int, voice: bool, now: float) -> None:
        """One packet: level 0..127 -dBov, 127 digital silence."""
        self._packets += 1
        if voice and level <= ACTIVE_LEVEL:
            self._active += 1
            self._level_sum += level

    def silence(self) -> None:
        """Forget what was heard: muted."""
        self.presence = 0.0
        self.level = float(MAX_LEVEL)
        self.speaking = False
        self._packets = self._active = self._level_sum = 0

    def update(self, elapsed_s: float) -> None:
        """Smooth the packets since the last call into `presence` (0..1), `level` and `speaking`."""
        packets, active = self._packets, self._active
        if not packets and not self.presence:
            return
        target = 1.0 if packets and active >= ACTIVE_SHARE * packets else 0.0
        time_constant_s = ATTACK_S if target else RELEASE_S
        self.presence += (target - self.presence) * (1 - exp(-elapsed_s / time_constant_s))
        if target:
            mean = self._level_sum / active
            share = 1 - exp(-elapsed_s / LEVEL_S) if self.speaking else 1.0
            self.level += (mean - self.level) * share
        if self.presence > SPEAKING_ABOVE:
            self.speaking = True
        elif self.presence < SILENT_BELOW:
            self.speaking = False
            if self.presence < 0.001:
                self.silence()
        self._packets = self._active = self._level_sum = 0


class ActiveSpeakers:
    """The speaking participants, and a ranking of all that have a track.

    The ranking is Last-N's: those who speak come first, then the others, the most recent speaker first. It
    moves no more than it must, so that the first N can be forwarded without cutting anybody off for a cough.
    """

    def __init__(self) -> None:
        self.ranking: list[str] = []
        self._talkers: dict[int, Talker] = {}
        self._levels: dict[str, float] = {}
        self._updated_at: float | None = None

    def add(self, track: int, participant_id: str) -> Talker:
        """A track was opened; its owner is ranked last, if not yet ranked."""
        talker = self._talkers[track] = Talker(participant_id)
        if participant_id not in self.ranking:
            self.ranking.append(participant_id)
        return talker

    def remove(self, track: int) -> None:
        """A track was closed; with their last track its owner leaves the ranking."""
        talker = self._talkers.pop(track, None)
        if talker is None:
            return
        owner = talker.participant_id
        if all(other.participant_id != owner for other in self._talkers.values()):
            self.ranking.remove(owner)

    def observe(self, track: int, level: int, voice: bool, now: float) -> None:
        """For callers that do not keep the Talker that `add` gave them."""
        self._talkers[track].observe(level, voice, now)

    def update(self, now: float) -> set[str]:
        """Who began or ceased to speak since the last update; none before INTERVAL_S has gone by."""
        last = self._updated_at
        if last is None:
            self._updated_at = now
            return set()
        if now - last < INTERVAL_S - _EPSILON_S:
            return set()
        self._updated_at = now
        levels: dict[str, float] = {}
        for talker in self._talkers.values():
            talker.update(now - last)
            if talker.speaking:
                owner = talker.participant_id
                levels[owner] = min(talker.level, levels.get(owner, MAX_LEVEL))
        changed = levels.keys() ^ self._levels.keys()
        self._levels = levels
        self._rank()
        return changed

    def speaking(self) -> tuple[tuple[str, int], ...]:
        """(participant id, level in -dBov) as of the last update, loudest first."""
        found = [(participant_id, round(level)) for participant_id, level in self._levels.items()]
        found.sort(key=lambda item: (item[1], item[0]))
        return tuple(found)

    def next_update(self) -> float | None:
        """When `update` has work again; None while there is no track and nobody speaks."""
        if not self._talkers and not self._levels:
            return None
        return None if self._updated_at is None else self._updated_at + INTERVAL_S

    def _rank(self) -> None:
        levels = self._levels
        if not levels:
            return
        speaking = [participant_id for participant_id in self.ranking if participant_id in levels]
        for i in range(len(speaking) - 1, 0, -1):
            quiet, loud = speaking[i - 1], speaking[i]
            if levels[loud] + OVERTAKE_DB <= levels[quiet]:
                speaking[i - 1], speaking[i] = loud, quiet
        if speaking != self.ranking[: len(speaking)]:
            self.ranking = speaking + [owner for owner in self.ranking if owner not in levels]
