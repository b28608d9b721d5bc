"""`roomtone listen`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from roomtone.cli.exits import CliError, ExitCode
from roomtone.cli.options import DEFAULT_URL, Json, Quiet, Token, Url, checked_room
from roomtone.cli.output import Output

if TYPE_CHECKING:
    from roomtone.cli.figures import Figures, Follower
    from roomtone.cli.recording import PcmSink
    from roomtone.client.room import Room

LOOKS_PER_S = 8
FRAME_MS = 10


def command(
    room: Annotated[str, typer.Option("--room", help="The room to listen to.", callback=checked_room)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="F.wav: everything, decoded and mixed. F.opus: one speaker's packets as they came. "
            '"-": s16le samples at 48 kHz on standard output.',
        ),
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", min=0.1, help="Stop after so many seconds. [default: at Ctrl-C]")
    ] = None,
    speaker: Annotated[
        str | None, typer.Option("--from", help="For F.opus: the identity to record. [default: the first]")
    ] = None,
    channels: Annotated[int, typer.Option("--channels", min=1, max=2, help="Of F.wav and of -.")] = 1,
    identity: Annotated[str, typer.Option("--identity", help="Who to be in the room.")] = "listener",
    url: Url = DEFAULT_URL,
    token: Token = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Listen to a room, and record it."""
    from roomtone.cli.access import token_for
    from roomtone.cli.running import run_command

    if output is not None and str(output) != "-" and output.suffix.lower() not in (".wav", ".opus"):
        raise CliError(f"--output {output}: name a .wav or an .opus file, or -", ExitCode.USAGE)
    if json and str(output) == "-":
        raise CliError("--json and --output - both want standard output: choose one", ExitCode.USAGE)
    bearer = token_for(url, token, identity=identity, room=room, grants={"publish": False})
    listener = Listener(url, bearer, room, Output(json=json, quiet=quiet), output, channels, speaker)
    return run_command(listener.run(duration))


@dataclass(slots=True)
class Listener:
    """One session of listening."""

    url: str
    token: str
    room: str
    output: Output
    path: Path | None
    channels: int
    speaker: str | None

    async def run(self, duration_s: float | None) -> int:
        """Until `duration_s` are over, a signal comes or the room ends; the exit code."""
        from roomtone.cli.figures import Follower
        from roomtone.cli.running import until_stopped
        from roomtone.client.connect import connect

        async with connect(self.url, self.token, room=self.room) as room:
            follower = Follower(room)
            with follower.following():
                if self.path is not None and self.path.suffix.lower() == ".opus":
                    await self._to_opus(room, follower, duration_s)
                else:
                    await until_stopped(self._to_pcm(room, follower), duration_s)
                self._report(follower.look())
        return ExitCode.OK

    async def _to_pcm(self, room: Room, follower: Follower) -> None:
        from roomtone.cli.live import LiveView

        sink = self._sink()
        loop = asyncio.get_running_loop()
        next_look = 0.0
        try:
            with LiveView(self.output, self._title()) as view:
                async for frame in room.mix(48_000, FRAME_MS, channels=self.channels):
                    sink.write(frame.pcm)
                    follower.heard(len(frame.pcm), frame.level)
                    if loop.time() >= next_look:
                        next_look = loop.time() + 1 / LOOKS_PER_S
                        figures = follower.look()
                        view.show(loop.time(), figures.level, self._cells(room, figures), figures.fields())
        finally:
            sink.close()

    async def _to_opus(self, room: Room, follower: Follower, duration_s: float | None) -> None:
        """The packets of one speaker, as they came; the meter shows the level that they carry."""
        from roomtone.cli.live import LiveView
        from roomtone.cli.opus_recorder import OpusRecorder
        from roomtone.cli.running import until_stopped

        assert self.path is not None
        recorder = OpusRecorder(room, self.path, self.speaker, follower)

        async def record() -> None:
            loop = asyncio.get_running_loop()
            with LiveView(self.output, self._title()) as view:
                recording = asyncio.ensure_future(recorder.run())
                try:
                    while not recording.done():
                        await asyncio.wait({recording}, timeout=1 / LOOKS_PER_S)
                        figures = follower.look()
                        view.show(loop.time(), figures.level, self._cells(room, figures), figures.fields())
                    recording.result()
                finally:
                    recording.cancel()

        try:
            await until_stopped(record(), duration_s)
        finally:
            recorder.close()
        if recorder.packets == 0:
            raise CliError(f"nothing was heard in the room {self.room!r}: {self.path} was not written")

    def _sink(self) -> PcmSink:
        from roomtone.cli.recording import NoFile, RawPcm, WavFile

        if self.path is None:
            return NoFile()
        return RawPcm() if str(self.path) == "-" else WavFile(self.path, self.channels)

    def _title(self) -> str:
        target = "" if self.path is None else f" -> {self.path}"
        return f"{self.url} room {self.room}{target}"

    @staticmethod
    def _cells(room: Room, figures: Figures) -> dict[str, str]:
        cells = figures.cells()
        return cells if room.state == "joined" else cells | {"connection": room.state}

    def _report(self, figures: Figures) -> None:
        path = None if self.path is None else str(self.path)
        if self.output.json:
            self.output.write_json({"event": "summary", **figures.fields(), "output": path})
            return
        self.output.note(
            f"heard {figures.seconds:.1f} s: {figures.underruns} underruns, {figures.concealed_ms:.0f} ms concealed, "
            f"{figures.lost} of {figures.received} packets lost"
        )
        if path not in (None, "-"):
            self.output.line(str(path))
