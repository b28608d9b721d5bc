"""Records one speaker's packets without decoding them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from roomtone.cli.figures import Follower
from roomtone.cli.recording import OpusFile
from roomtone.client.remote_track import RemoteTrack
from roomtone.client.room import Room
from roomtone.media import opus_packet
from roomtone.media.packet import Packet


class OpusRecorder:
    """The Opus tracks of `speaker` (None: of whoever speaks first), one after the other, into one file.

    The file is made at the first packet, for it says how many channels there are.
    """

    def __init__(self, room: Room, path: Path, speaker: str | None, follower: Follower) -> None:
        self._room = room
        self._path = path
        self._speaker = speaker
        self._follower = follower
        self._file: OpusFile | None = None

    @property
    def packets(self) -> int:
        """How many are in the file."""
        return 0 if self._file is None else self._file.packets

    async def run(self) -> None:
        """Until the room ends."""
        while True:
            track = await self._room.next_track()
            if track.info.codec == "opus" and self._speaker in (None, track.identity):
                self._speaker = track.identity
                await self._record(track)

    def close(self) -> None:
        """Complete the file."""
        if self._file is not None:
            self._file.close()

    async def _record(self, track: RemoteTrack) -> None:
        loop = asyncio.get_running_loop()
        async for packet in track.packets():
            if self._file is None:
                self._file = OpusFile(self._path, track.info.channels)
            self._file.write(packet, loop.time())
            self._follower.heard(_samples(packet), packet.level)


def _samples(packet: Packet) -> int:
    """At 48 kHz; 0 for what is not Opus."""
    try:
        return opus_packet.duration_ticks(packet.payload)
    except ValueError:
        return 0
