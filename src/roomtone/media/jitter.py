"""The adaptive jitter buffer: packets in as they come, sound out in real time, 10 ms at a pull.

It decodes at the last moment. What it must decode next is there, or torn out (a later packet is there: bridge
the gap by the copy in the next packet, or by concealment), or nothing is there at all (starve: conceal, and
hold the place). How deep it should be, the delay controller decides; time stretch takes it there.
"""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Final, Literal, Protocol

import numpy as np

from roomtone.media.codec import duration_ticks
from roomtone.media.delay import TICKS_PER_MS, DelayController, JitterSettings, Operation
from roomtone.media.jitter_line import PlayoutLine
from roomtone.media.jitter_queue import MAX_PACKETS, Entry, PacketQueue
from roomtone.media.jitter_splice import FADE_AFTER_MS, SILENT_AFTER_MS, fade, resampled, spliced
from roomtone.media.jitter_statistics import JitterStatistics, JitterTotals
from roomtone.media.opus_packet import has_fec
from roomtone.media.packet import (
    CLOCK_RATE_HZ,
    FLAG_DISCONTINUITY,
    FLAG_TALKSPURT_END,
    FLAG_TALKSPURT_START,
    Codec,
    Packet,
)
from roomtone.media.stretch import Pcm, is_silent

CONCEAL_MS: Final = 10
STRETCH_BLOCK_MS: Final = 20
"""Short frames are stretched together, so that a pitch period fits in."""
MAX_BRIDGE_MS: Final = 1_000.0
"""A longer gap is a pause, and is not filled to its end."""
MAX_PAUSE_SHIFT_MS: Final = 500.0
"""A talkspurt that comes this much later or earlier than the last one is on a new time line."""
MAX_TRANSIT_JUMP_MS: Final = 5_000.0
"""So is any packet that comes this much later or earlier than the one before."""
CLOSE_TICKS: Final = 120
"""A gap of 2.5 ms, between packets that follow one another, is the sender's rounding."""
EARLY_SHARE: Final = 0.55
"""Of a pull, or of the depth where that is less: how much shallower than asked a fixed buffer may be. Pulls are a
grid, so one is deeper by chance up to a pull; of its two neighbours the nearer is taken, and the earlier in doubt."""
EARLY_SLACK_MS: Final = 2.0
"""The fastest path moves a little: so much further it may be before a whole pull is put in."""
_FRESH: Final = FLAG_TALKSPURT_START | FLAG_DISCONTINUITY
_DTX_BYTES: Final = 2
_DEFAULT_TICKS: Final = 960


class Decoder(Protocol):
    """What the buffer needs of a codec; `roomtone.media.codec.make_decoder` gives one.

    Sound is int16, `samples` or `samples x channels`, at the buffer's rate. Raises ValueError for garbage.
    """

    def decode(self, payload: bytes) -> Pcm: ...
    def conceal(self, samples: int) -> Pcm: ...
    def decode_fec(self, next_payload: bytes, samples: int) -> Pcm: ...
    def reset(self) -> None: ...


class JitterBuffer:
    """One track's packets to sound in real time.

    decoder: for the track's codec, at sample_rate_hz (a multiple of 400) and channels (1 or 2). content:
    "voice" is stretched by pitch periods, "music" by resampling. pull_ms: 10 or 20, how much `pop` gives.
    `now` is monotonic seconds and never goes back. Memory is bounded by settings.max_buffer_ms and 1,000
    packets.
    """

    def __init__(
        self,
        settings: JitterSettings,
        decoder: Decoder,
        *,
        sample_rate_hz: int = 48_000,
        channels: int = 1,
        content: Literal["voice", "music"] = "voice",
        pull_ms: int = 10,
    ) -> None:
        if pull_ms not in (10, 20):
            raise ValueError(f"a pull is 10 or 20 ms, not {pull_ms}")
        if channels not in (1, 2):
            raise ValueError(f"1 or 2 channels, not {channels}")
        if sample_rate_hz <= 0 or sample_rate_hz % 400:
            raise ValueError(f"the rate is a multiple of 400 Hz, not {sample_rate_hz}")
        self._settings = settings
        self._decoder = decoder
        self._rate_hz = sample_rate_hz
        self._channels = channels
        self._music = content == "music"
        self._pull = sample_rate_hz * pull_ms // 1000
        self._early_ms = 0.0 if settings.adaptive else EARLY_SHARE * min(pull_ms, settings.initial_target_ms)
        self._totals = JitterTotals()
        self._controller = DelayController(settings)
        self._queue = PacketQueue()
        self._line = PlayoutLine(sample_rate_hz, channels)
        self._frame_ticks = _DEFAULT_TICKS
        self._start_over()

    def _start_over(self) -> None:
        self._queue.clear()
        self._controller.rebase()
        self._next_sequence: int | None = None
        self._next_timestamp = 0
        self._playing = False
        self._quiet = True  # a DTX packet was the last: nothing more is expected for now
        self._cut = False  # packets were dropped: do not fill the hole
        self._starving = False
        self._filled = 0  # ticks of concealment given in place of what is next
        self._depth_ms = 0.0

    # ---- in

    def push(self, packet: Packet, now: float) -> None:
        """Take one packet, whatever it is; never raises for what is in it."""
        totals = self._totals
        totals.received += 1
        placed = self._queue.place(packet)
        jump_ms = 0.0
        if placed is not None:
            jump_ms = self._controller.transit_jump_ms(placed[1], now)
            if self._queue.has_seen(placed[0]):
                totals.duplicates += 1
                return
        if placed is None or abs(jump_ms) > MAX_TRANSIT_JUMP_MS:
            if self._queue.suspects(packet):
                totals.dropped += 1
                return
            totals.dropped += len(self._queue)
            self._start_over()
            self._line.clear()
            self._decoder.reset()
            placed = packet.sequence, packet.timestamp
        elif packet.flags & FLAG_TALKSPURT_START and abs(jump_ms) > MAX_PAUSE_SHIFT_MS:
            self._controller.rebase()
        self._accept(packet, placed, now)

    def _accept(self, packet: Packet, placed: tuple[int, int], now: float) -> None:
        sequence, timestamp = placed
        payload = packet.payload
        try:
            self._frame_ticks = duration_ticks(packet.codec, payload, self._channels)
            fec = self._settings.fec and packet.codec is Codec.OPUS and has_fec(payload)
        except ValueError:
            fec = False
        ticks = self._frame_ticks
        self._queue.note(sequence, timestamp)
        self._controller.arrived(sequence, timestamp, now, frame_ms=ticks / TICKS_PER_MS, fec=fec)
        if self._next_sequence is not None and sequence < self._next_sequence:
            self._totals.late += 1
            return
        self._queue.add(Entry(sequence, timestamp, ticks, fec, packet.flags, now, payload))
        self._bound()

    def _bound(self) -> None:
        """Drop the oldest until what is held is no longer and no more than it may be."""
        queue = self._queue
        first, last = queue.first, queue.last
        most_ticks = self._settings.max_buffer_ms * TICKS_PER_MS
        while first and last and first is not last:
            span = last.timestamp + last.ticks - first.timestamp
            if span <= most_ticks and len(queue) <= MAX_PACKETS:
                return
            queue.pop()
            self._totals.dropped += 1
            first = queue.first
            if first and (self._next_sequence is None or first.sequence > self._next_sequence):
                self._cut = True

    def flush(self, from_sequence: int, now: float) -> None:
        """Throw away everything older than `from_sequence` (0..65535) and await that as a new talkspurt.

        What is decoded and not yet given away goes too. Nothing happens if that packet is played already.
        """
        sequence = self._queue.unwrap(from_sequence)
        if self._next_sequence is not None and self._next_sequence > sequence:
            return
        self._queue.drop_before(sequence)
        self._line.clear()
        self._decoder.reset()
        self._next_sequence = sequence
        self._playing = False
        self._starving = self._cut = False
        self._filled = 0

    def reset(self) -> None:
        """Forget the stream and what was learnt of its network; the totals stay."""
        self._controller = DelayController(self._settings)
        self._start_over()
        self._line.clear()
        self._decoder.reset()

    # ---- out

    def pop(self, now: float) -> Pcm:
        """The next pull_ms of sound, int16, `samples` (mono) or `samples x 2`; silence if there is none."""
        line = self._line
        while line.pending < self._pull:
            self._produce(now)
        sound = line.take(self._pull, now)
        return sound[:, 0] if self._channels == 1 else sound

    @property
    def playout_timestamp(self) -> int:
        """The 48 kHz timestamp (0..2**32-1) of the sample that the next `pop` begins with."""
        return (self._next_timestamp - self._pending_ticks) & 0xFFFF_FFFF

    @property
    def statistics(self) -> JitterStatistics:
        """Totals and the present depth."""
        line = self._line
        held = self._pending_ticks
        first, last = self._queue.first, self._queue.last
        if first and last:
            held += last.timestamp + last.ticks - first.timestamp
        return JitterStatistics(
            depth_ms=self._depth_ms,
            target_ms=self._controller.target_ms,
            jitter_ms=self._controller.jitter_ms,
            buffered_ms=held / TICKS_PER_MS,
            emitted_samples=line.emitted_samples,
            waited_ms=line.waited_s * 1000.0,
            **asdict(self._totals),
        )

    @property
    def _pending_ticks(self) -> int:
        return self._line.pending * CLOCK_RATE_HZ // self._rate_hz

    def _produce(self, now: float) -> None:
        """Add some sound to the line."""
        entry = self._queue.first
        if not self._playing:
            if entry is None or not self._is_due(entry, now):
                self._silence()
                return
            self._jump(entry)
            self._playing = True
        if entry is None:
            self._starve()
        elif self._follows(entry):
            self._play(entry, now)
        else:
            self._bridge(entry, now)

    def _follows(self, entry: Entry) -> bool:
        return entry.sequence == self._next_sequence and entry.timestamp - self._next_timestamp <= CLOSE_TICKS

    def _is_due(self, entry: Entry, now: float) -> bool:
        return self._latency_ms(entry.timestamp, now) >= self._controller.target_ms - self._early_ms

    def _latency_ms(self, timestamp: int, now: float) -> float:
        """The latency of `timestamp`, or of the last frame that this pull needs, if frames are shorter."""
        wanted = (self._pull - self._line.pending) * CLOCK_RATE_HZ // self._rate_hz
        return self._controller.latency_ms(timestamp + max(0, wanted - self._frame_ticks), now)

    def _over_ms(self, timestamp: int, now: float) -> float:
        """How much could be left out before `timestamp`, decoded now, would be needed before it is due.

        Pulls are a grid: a frame is decoded at the last pull before its first sample is heard, so leaving out less
        than is pending costs nothing, and more costs a whole pull. Negative: how much must be put in.
        """
        over_ms = self._latency_ms(timestamp, now) - self._controller.target_ms
        early_ms = self._early_ms
        if over_ms < -early_ms - (EARLY_SLACK_MS if early_ms else 0.0):
            return over_ms
        if self._frame_ticks * self._rate_hz < self._pull * CLOCK_RATE_HZ:
            return max(0.0, over_ms)
        pull_ms = self._pull * 1000 / self._rate_hz
        pulls = max(0, math.floor((over_ms + early_ms) / pull_ms))
        return pulls * pull_ms + self._line.pending * 1000 / self._rate_hz

    def _silence(self) -> None:
        self._line.add_silence(self._pull - self._line.pending)

    def _jump(self, entry: Entry) -> None:
        """Go to `entry`, whatever lies before it; what was filled beyond it counts against it."""
        gap = entry.timestamp - self._next_timestamp
        if self._next_sequence is not None and self._playing:
            self._totals.lost += entry.sequence - self._next_sequence
            if gap != self._filled:
                self._line.torn = True
            self._filled = max(0, self._filled - gap) if gap > 0 else 0
        else:
            self._filled = 0
        self._cut = False
        self._next_sequence = entry.sequence
        self._next_timestamp = entry.timestamp

    # ---- a gap, or nothing at all

    def _starve(self) -> None:
        """Nothing is there: hold the place, for what comes next may be what is wanted."""
        if self._quiet:
            self._comfort()
            return
        if not self._starving:
            self._starving = True
            self._totals.underruns += 1
        self._conceal()

    def _bridge(self, entry: Entry, now: float) -> None:
        """`entry` is not what comes next: fill the gap, or jump over it where there is time to be won."""
        self._starving = False
        gap = entry.timestamp - self._next_timestamp
        missing = entry.sequence - (self._next_sequence or 0)
        if self._cut or gap <= 0:
            self._jump(entry)
        elif self._quiet or entry.flags & _FRESH or gap > MAX_BRIDGE_MS * TICKS_PER_MS:
            if self._is_due(entry, now):
                self._filled = 0
                self._jump(entry)
                self._line.torn = True
            elif self._quiet:
                self._comfort()
            else:
                self._conceal()
        elif missing and entry.fec and gap - self._filled <= entry.ticks:
            self._recover(entry, gap, now)
        elif self._filled >= gap or self._is_due(entry, now):
            self._jump(entry)
        else:
            self._conceal()

    def _conceal(self) -> None:
        """10 ms of what might have been, ever softer."""
        totals = self._totals
        samples = self._rate_hz * CONCEAL_MS // 1000
        totals.concealed_samples += samples
        done_ms = self._filled / TICKS_PER_MS
        self._filled += CONCEAL_MS * CLOCK_RATE_HZ // 1000
        if done_ms >= SILENT_AFTER_MS:
            totals.silent_concealed_samples += samples
            self._line.add_silence(samples)
            return
        block = self._invent(samples)
        self._line.add(fade(block, done_ms, CONCEAL_MS), None)
        if done_ms >= FADE_AFTER_MS:
            self._line.torn = True  # the decoder would come back at full strength

    def _comfort(self) -> None:
        """The pause between DTX packets: the decoder's comfort noise."""
        samples = self._rate_hz * CONCEAL_MS // 1000
        self._filled += CONCEAL_MS * CLOCK_RATE_HZ // 1000
        self._line.add(self._invent(samples), None)

    def _invent(self, samples: int) -> Pcm:
        block = self._shape(self._decoder.conceal(samples))
        return block if len(block) else np.zeros((samples, self._channels), dtype=np.int16)

    def _recover(self, entry: Entry, gap: int, now: float) -> None:
        """The packet before `entry` from the copy in it."""
        ticks = min(entry.ticks, gap)
        samples = ticks * self._rate_hz // CLOCK_RATE_HZ
        try:
            block = self._shape(self._decoder.decode_fec(entry.payload, samples))
        except ValueError:
            self._conceal()
            return
        missing = entry.sequence - (self._next_sequence or 0)
        self._totals.lost += missing - 1
        self._totals.fec_recovered += 1
        self._filled = max(0, self._filled - (gap - ticks))
        self._next_timestamp = entry.timestamp - ticks
        over_ms = self._over_ms(self._next_timestamp, now)
        self._next_sequence = entry.sequence
        self._next_timestamp = entry.timestamp
        self._line.add(self._skip_filled(block, over_ms), entry.arrival)

    # ---- what is there

    def _play(self, entry: Entry, now: float) -> None:
        self._starving = False
        over_ms = self._over_ms(self._next_timestamp, now)
        self._depth_ms = self._controller.latency_ms(self._next_timestamp - self._pending_ticks, now)
        block = self._decode_first()
        if block is None:
            self._conceal()
            return
        whole = len(block)
        block = self._skip_filled(block, over_ms)
        over_ms -= (whole - len(block)) * 1000 / self._rate_hz
        last = self._queue.last or entry
        buffered_ms = (last.timestamp + last.ticks - entry.timestamp) / TICKS_PER_MS
        silent = is_silent(block)
        operation = self._controller.decide(over_ms, buffered_ms, silent, now)
        if operation is not Operation.NORMAL and self._playing:
            block = self._stretch(self._gather(block), operation, over_ms, now)
        self._line.add(block, entry.arrival)

    def _decode_first(self) -> Pcm | None:
        """Decode the first packet of the queue; None if it is garbage, whose time is still to be filled."""
        entry = self._queue.pop()
        self._next_sequence = entry.sequence + 1
        if entry.flags & FLAG_TALKSPURT_END:
            self._playing = False
        try:
            block = self._shape(self._decoder.decode(entry.payload))
        except ValueError:
            self._totals.garbage += 1
            self._next_timestamp = entry.timestamp
            return None
        self._next_timestamp = entry.timestamp + entry.ticks
        self._quiet = len(entry.payload) <= _DTX_BYTES or not self._playing
        return block

    def _skip_filled(self, block: Pcm, over_ms: float) -> Pcm:
        """`block` without what was concealed already, so far as there is too much latency."""
        filled, self._filled = self._filled, 0
        if not filled or not self._settings.skip_late:
            return block
        skip = min(filled, int(over_ms * TICKS_PER_MS)) * self._rate_hz // CLOCK_RATE_HZ
        if skip <= 0:
            return block
        self._line.torn = True
        if skip > len(block):
            self._filled = filled - len(block) * CLOCK_RATE_HZ // self._rate_hz
        return block[skip:]

    def _gather(self, block: Pcm) -> Pcm:
        """`block` with what follows it, if it is too short for a pitch period."""
        enough = self._rate_hz * STRETCH_BLOCK_MS // 1000
        while len(block) < enough and self._playing:
            entry = self._queue.first
            if entry is None or not self._follows(entry):
                break
            more = self._decode_first()
            if more is None:
                break
            block = np.concatenate((block, more))
        return block

    def _stretch(self, block: Pcm, operation: Operation, over_ms: float, now: float) -> Pcm:
        """`block` shorter or longer, and booked, or as it is where no splice would go unheard."""
        slower = operation in (Operation.EXPAND, Operation.FAST_EXPAND)
        if not slower and not len(self._queue) and over_ms > self._frame_ticks / TICKS_PER_MS:
            return block  # the next packet is overdue: this is not the time to hurry
        apply = resampled if self._music else spliced
        stretched = apply(operation, self._line.tail, block, self._rate_hz, over_ms)
        change = len(stretched) - len(block)
        if change:
            self._totals.accelerated_samples += max(0, -change)
            self._totals.expanded_samples += max(0, change)
            if not self._music:
                self._controller.stretched(now)
        if not len(stretched):
            self._line.torn = True
        return stretched

    def _shape(self, block: Pcm) -> Pcm:
        return block.reshape(-1, self._channels)
