"""What waits to be written to one listener: bounded, live audio dropped oldest first."""

from __future__ import annotations

from collections import deque
from typing import Final

from roomtone.media.packet import Packet
from roomtone.media.sequence import sequence_difference

AUDIO_LIMIT_MS: Final = 1_000
CONTROL_LIMIT_EVENTS: Final = 256
CONTROL_LIMIT_BYTES: Final = 65_536


class Outbox:
    """Frames ready to be written, in arrival order across audio and control.

    Audio and control lie in queues of their own, each entry with its place in the common order, so that both
    dropping the oldest audio and taking the next entry are constant time.
    """

    __slots__ = (
        "_audio",
        "_control",
        "_control_bytes",
        "_gaps",
        "_order",
        "audio_limit_ms",
        "audio_ms",
        "control_limit_bytes",
        "control_limit_events",
        "dropped_packets",
    )

    def __init__(
        self,
        *,
        audio_limit_ms: float = AUDIO_LIMIT_MS,
        control_limit_events: int = CONTROL_LIMIT_EVENTS,
        control_limit_bytes: int = CONTROL_LIMIT_BYTES,
    ) -> None:
        self.audio_limit_ms = audio_limit_ms
        self.control_limit_events = control_limit_events
        self.control_limit_bytes = control_limit_bytes
        self.audio_ms = 0.0
        self.dropped_packets = 0
        self._audio: deque[tuple[int, Packet, float]] = deque()
        self._control: deque[tuple[int, bytes]] = deque()
        self._control_bytes = 0
        self._gaps: set[int] = set()
        self._order = 0

    def __len__(self) -> int:
        return len(self._audio) + len(self._control)

    def push_audio(self, packet: Packet, duration_ms: float) -> None:
        """Queue one packet. Over the limit the oldest audio goes, of whichever track; the newest never does.

        The next packet of a track that lost some comes out as its `discontinuous` variant.
        """
        audio = self._audio
        audio.append((self._order, packet, duration_ms))
        self._order += 1
        self.audio_ms += duration_ms
        if self.audio_ms > self.audio_limit_ms:
            self._trim()

    def limit_audio(self, audio_limit_ms: float) -> int:
        """Hold so much audio from now on; how many packets, the oldest, went for it."""
        self.audio_limit_ms = audio_limit_ms
        before = self.dropped_packets
        self._trim()
        return self.dropped_packets - before

    def push_control(self, data: bytes) -> bool:
        """Queue a ready-made frame. False: too much waits already, nothing was queued, close the listener.

        A single frame over the limit, such as a large room's snapshot, passes when no other control waits.
        """
        control = self._control
        if control and (
            len(control) >= self.control_limit_events or self._control_bytes + len(data) > self.control_limit_bytes
        ):
            return False
        control.append((self._order, data))
        self._order += 1
        self._control_bytes += len(data)
        return True

    @property
    def control_events(self) -> int:
        """How many control frames wait."""
        return len(self._control)

    def pop_control(self) -> bytes | None:
        """The next control frame, past any audio before it: for a listener that gets no audio now."""
        if not self._control:
            return None
        data = self._control.popleft()[1]
        self._control_bytes -= len(data)
        return data

    def pop(self) -> bytes | None:
        """The next frame to write, None when nothing waits."""
        audio, control = self._audio, self._control
        if control and (not audio or control[0][0] < audio[0][0]):
            return self.pop_control()
        if not audio:
            return None
        _, packet, duration_ms = audio.popleft()
        # Counting from zero again keeps the rounding of a year of additions out of the sum.
        self.audio_ms = self.audio_ms - duration_ms if audio else 0.0
        if self._gaps and packet.track in self._gaps:
            self._gaps.discard(packet.track)
            return packet.discontinuous.frame
        return packet.frame

    def flush_track(self, track: int, from_sequence: int) -> int:
        """Throw away the audio of `track` before `from_sequence`, by serial arithmetic; how many packets.

        No discontinuity: the listener is told of the flush, and its next packet is the one it then expects.
        """
        kept = deque(
            entry
            for entry in self._audio
            if entry[1].track != track or sequence_difference(entry[1].sequence, from_sequence) >= 0
        )
        flushed = len(self._audio) - len(kept)
        self._replace_audio(kept)
        return flushed

    def drop_audio(self) -> int:
        """Throw away all audio; how many packets it was. Each track's next packet is `discontinuous`."""
        dropped = len(self._audio)
        self._gaps.update(packet.track for _, packet, _ in self._audio)
        self.dropped_packets += dropped
        self._replace_audio(deque())
        return dropped

    def _trim(self) -> None:
        audio = self._audio
        while self.audio_ms > self.audio_limit_ms and len(audio) > 1:
            _, dropped, dropped_ms = audio.popleft()
            self.audio_ms -= dropped_ms
            self.dropped_packets += 1
            self._gaps.add(dropped.track)

    def _replace_audio(self, audio: deque[tuple[int, Packet, float]]) -> None:
        self._audio = audio
        self.audio_ms = sum((duration_ms for _, _, duration_ms in audio), 0.0)
