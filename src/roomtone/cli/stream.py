"""`roomtone stream`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from roomtone.cli.exits import CliError, ExitCode
from roomtone.cli.options import DEFAULT_URL, Json, Quiet, Token, Url, checked_room
from roomtone.cli.output import Output

if TYPE_CHECKING:
    from roomtone.client.feeds import Encoded, FrameSource
    from roomtone.client.local_track import LocalTrack
    from roomtone.client.room import Room

LOOKS_PER_S = 8
LINGER_S = 0.3
"""The last frames are on their way, and in the listeners' buffers, when the source has ended."""


def command(
    source: Annotated[
        list[str],
        typer.Argument(help='Files and http(s) URLs, played in turn, or "-" for s16le PCM on standard input.'),
    ],
    room: Annotated[str, typer.Option("--room", help="The room to publish into.", callback=checked_room)],
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end.")] = False,
    music: Annotated[bool, typer.Option("--music", help="Encode for music. [default: for voice]")] = False,
    bitrate: Annotated[
        int | None,
        typer.Option("--bitrate", min=6_000, max=510_000, help="bit/s. [default: what suits the content]"),
    ] = None,
    frame_ms: Annotated[float, typer.Option("--frame-ms", help="2.5, 5, 10, 20, 40 or 60.")] = 20,
    rate: Annotated[int, typer.Option("--rate", help="Sample rate of -, in Hz.")] = 48_000,
    channels: Annotated[
        int | None, typer.Option("--channels", min=1, max=2, help="[default: as many as the source has]")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="How others see the track.")] = "",
    identity: Annotated[str, typer.Option("--identity", help="Who to be in the room.")] = "streamer",
    duration: Annotated[float | None, typer.Option("--duration", min=0.1, help="Stop after so many seconds.")] = None,
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Publish files, URLs or a pipe into a room, in real time."""
    from roomtone.cli.access import token_for
    from roomtone.cli.running import run_command

    bearer = token_for(url, token, identity=identity, room=room, grants={"subscribe": False})
    streamer = Streamer(
        url=url,
        token=bearer,
        room=room,
        source=source,
        output=Output(json=json, quiet=quiet),
        content="music" if music else "voice",
        bitrate_bps=bitrate,
        loop=loop,
        frame_ms=frame_ms,
        rate_hz=rate,
        channels=channels,
        name=name,
    )
    return run_command(streamer.run(duration))


@dataclass(slots=True, kw_only=True)
class Streamer:
    """One source, played into one room."""

    url: str
    token: str
    room: str
    source: list[str]
    output: Output
    content: Literal["voice", "music"]
    bitrate_bps: int | None
    loop: bool
    frame_ms: float
    rate_hz: int
    channels: int | None
    name: str

    async def run(self, duration_s: float | None) -> int:
        """Until the source ends, `duration_s` are over or a signal comes; the exit code."""
        from roomtone.cli.running import until_stopped
        from roomtone.client.connect import connect
        from roomtone.client.feeds import ReaderSource
        from roomtone.sources.pcm import PcmFormat
        from roomtone.sources.policy import SourcePolicy
        from roomtone.sources.reader import EncodedSource, SourceOptions

        try:
            options = SourceOptions(
                bitrate_bps=self.bitrate_bps,
                channels=self.channels,
                frame_ms=self.frame_ms,
                content=self.content,
                loop=self.loop,
                pcm=PcmFormat(self.rate_hz, self.channels or 1),
            )
            spec = self.source[0] if len(self.source) == 1 else self.source
            reader = EncodedSource(spec, SourcePolicy.local(), options, warn=self.output.warn)
        except ValueError as error:
            raise CliError(str(error), ExitCode.USAGE) from error
        await reader.start()
        metered = Metered(ReaderSource(reader))
        try:
            async with connect(self.url, self.token, room=self.room) as room:
                track = await room.open_track(
                    name=self.name,
                    bitrate_bps=options.default_bitrate_bps(reader.channels),
                    frame_ms=self.frame_ms,
                    content=self.content,
                    channels=reader.channels,
                )
                await track.play(metered)
                await until_stopped(self._show(room, track, metered, reader.label), duration_s)
                self._report(track, metered)
        finally:
            await reader.stop()
        return ExitCode.OK

    async def _show(self, room: Room, track: LocalTrack, metered: Metered, label: str) -> None:
        from roomtone.cli.live import LiveView

        loop = asyncio.get_running_loop()
        playing = asyncio.ensure_future(track.wait())
        gone = asyncio.ensure_future(room.wait_closed())
        try:
            with LiveView(self.output, f"{label} -> {self.url} room {self.room}") as view:
                while not (playing.done() or gone.done()):
                    await asyncio.wait({playing, gone}, timeout=1 / LOOKS_PER_S, return_when=asyncio.FIRST_COMPLETED)
                    fields = self._fields(track, metered)
                    cells = {
                        "seconds": f"{fields['seconds']:.1f}",
                        "kbit/s": f"{fields['bitrate_bps'] / 1000:.1f}",
                        "underruns": str(fields["underruns"]),
                    }
                    if room.state != "joined":
                        cells["connection"] = room.state
                    view.show(loop.time(), metered.take_level(), cells, fields)
                for task in (playing, gone):
                    if task.done():
                        task.result()
                await asyncio.sleep(LINGER_S)
        finally:
            playing.cancel()
            gone.cancel()

    @staticmethod
    def _fields(track: LocalTrack, metered: Metered) -> dict[str, float]:
        statistics = track.statistics
        seconds = max(0.0, metered.seconds - statistics.queued_ms / 1000)
        return {
            "seconds": round(seconds, 3),
            "bitrate_bps": metered.bitrate_bps,
            "target_bitrate_bps": statistics.bitrate_bps,
            "sent_frames": statistics.sent_frames,
            "dropped_frames": statistics.dropped_frames,
            "underruns": statistics.underruns,
        }

    def _report(self, track: LocalTrack, metered: Metered) -> None:
        fields = self._fields(track, metered)
        self.output.event("summary", **fields)
        self.output.note(f"sent {fields['seconds']:.1f} s, {fields['bitrate_bps'] / 1000:.1f} kbit/s")


class Metered:
    """A FrameSource that counts what passes, up to half a second before it is sent."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._level = 127
        self._bytes = 0
        self._ticks = 0

    async def frames(self) -> AsyncIterator[Encoded]:
        """As they come."""
        async for frame in self._source.frames():
            self._level = min(self._level, frame.level)
            self._bytes += len(frame.payload)
            self._ticks += frame.duration_ticks
            yield frame

    def set_bitrate(self, bitrate_bps: int) -> None:
        """For the encoder."""
        self._source.set_bitrate(bitrate_bps)

    async def stop(self) -> None:
        """Let go of the source."""
        await self._source.stop()

    @property
    def seconds(self) -> float:
        """Of sound."""
        return self._ticks / 48_000

    @property
    def bitrate_bps(self) -> int:
        """The mean of all, payloads only."""
        return round(self._bytes * 8 * 48_000 / self._ticks) if self._ticks else 0

    def take_level(self) -> int:
        """The loudest since the last call, in -dBov."""
        level, self._level = self._level, 127
        return level
