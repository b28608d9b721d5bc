"""`roomtone demo`: a server, a speaker and a listener, through real sockets."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from roomtone.cli.exits import CliError, ExitCode
from roomtone.cli.options import Json, Quiet
from roomtone.cli.output import Output

ROOM = "lobby"
FIRST_SOUND_TIMEOUT_S = 15.0


def command(
    source: Annotated[
        str | None, typer.Argument(help="A file or an http(s) URL. [default: a spoken sample]", show_default=False)
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", min=0.5, help="Stop after so many seconds. [default: at Ctrl-C]")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 picks a free one.")] = 7800,
    output: Annotated[
        Path | None, typer.Option("--output", help="The WAV of what was heard. [default: a new temporary file]")
    ] = None,
    music: Annotated[bool, typer.Option("--music", help="Encode for music, at 96 kbit/s.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Start a server, stream speech into a room, and listen to it as a second client.

    Prints what was heard and how well, and where the recording is.
    """
    from roomtone.cli.running import run_command
    from roomtone.server.logging import setup_logging

    setup_logging("console", "warning")
    path = output or Path(tempfile.mkdtemp(prefix="roomtone-")) / "heard.wav"
    demo = Demo(source, port, path, Output(json=json, quiet=quiet), music=music)
    return run_command(demo.run(duration))


@dataclass(slots=True)
class Demo:
    """One run. source None: the sample that comes with the package."""

    source: str | None
    port: int
    path: Path
    output: Output
    music: bool = False

    async def run(self, duration_s: float | None) -> int:
        """Until `duration_s` are over, or a signal comes; the exit code."""
        from roomtone.cli.running import until_stopped
        from roomtone.cli.serve import listen_error
        from roomtone.cli.settings import own_config
        from roomtone.server.app import Server

        config = own_config(host="127.0.0.1", port=self.port, dev=True, log_level="warning", drain_timeout_s=1)
        server = Server(config)
        try:
            await server.start()
        except OSError as error:
            raise CliError(listen_error(error, config), ExitCode.USAGE) from error
        results: dict[str, Any] = {}
        try:
            await until_stopped(self._listen(server.url, server, results), duration_s)
        finally:
            await server.stop()
        if "figures" not in results:
            raise CliError("nothing was heard: the demo was stopped before the first sound", ExitCode.FAILED)
        self._report(results)
        return ExitCode.OK

    async def _listen(self, url: str, server: Any, results: dict[str, Any]) -> None:
        """Two clients, one that speaks and one that listens."""
        from roomtone.assets import sample_path
        from roomtone.client.connect import connect

        source = self.source or str(sample_path())
        speaker_token = server.token("speaker", room=ROOM, name="Speaker")
        listener_token = server.token("listener", room=ROOM, name="Listener")
        async with connect(url, listener_token) as ear, connect(url, speaker_token) as mouth:
            track = await mouth.publish(
                source,
                name="demo",
                loop=True,
                content="music" if self.music else "voice",
                bitrate_bps=96_000 if self.music else 32_000,
            )
            playing = asyncio.ensure_future(track.wait())
            hearing = asyncio.ensure_future(self._record(ear, url, source, results))
            try:
                done, _ = await asyncio.wait({playing, hearing}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in (playing, hearing):
                    task.cancel()
                await asyncio.wait({playing, hearing})

    async def _record(self, ear: Any, url: str, source: str, results: dict[str, Any]) -> None:
        from roomtone.cli.figures import Follower
        from roomtone.cli.live import REDRAWS_PER_S, LiveView
        from roomtone.cli.recording import WavFile

        try:
            track = await ear.next_track(timeout=FIRST_SOUND_TIMEOUT_S)
        except TimeoutError as error:
            raise CliError("the speaker's track did not reach the listener within 15 s") from error
        channels = track.info.channels
        loop = asyncio.get_running_loop()
        label = "the spoken sample" if self.source is None else source
        title = f"{label} -> {url} room {ROOM} -> {self.path}"
        sink = WavFile(self.path, channels)
        next_look = 0.0
        try:
            with LiveView(self.output, title) as view, Follower(ear).following() as follower:
                async for frame in track.frames(48_000, 10, channels=channels):
                    sink.write(frame.pcm)
                    follower.heard(len(frame.pcm), frame.level)
                    results["figures"] = None
                    if loop.time() >= next_look:
                        next_look = loop.time() + 1 / REDRAWS_PER_S
                        figures = follower.look()
                        view.show(loop.time(), figures.level, figures.cells(), figures.fields())
        finally:
            sink.close()
            if "figures" in results:
                results["figures"] = follower.look()

    def _report(self, results: dict[str, Any]) -> None:
        figures = results["figures"]
        fields = {**figures.fields(), "output": str(self.path)}
        lines = [
            f"heard       {figures.seconds:.1f} s, {figures.bitrate_bps / 1000:.1f} kbit/s",
            f"jitter      {figures.jitter_ms:.1f} ms, buffer {figures.depth_ms:.0f} ms deep "
            f"(target {figures.target_ms:.0f}), {figures.delay_ms:.0f} ms from arrival to ear",
            f"faults      {figures.underruns} underruns, {figures.concealed_ms:.0f} ms concealed, "
            f"{figures.lost} of {figures.received} packets lost",
        ]
        if self.source is None:
            found = self._compared()
            if found is not None:
                fields |= {
                    "offset_s": round(found.offset_s, 4),
                    "correlation": round(found.correlation, 4),
                    "snr_db": round(found.snr_db, 2),
                }
                lines.append(
                    f"speech      the source starts {found.offset_s * 1000:.0f} ms into the recording, "
                    f"correlation {found.correlation:.2f}, signal to noise {found.snr_db:.1f} dB"
                )
        lines.append(f"recording   {self.path}")
        if self.output.json:
            self.output.write_json({"event": "summary", **fields})
        else:
            for line in lines:
                self.output.line(line)

    def _compared(self) -> Any:
        import wave

        import numpy as np

        from roomtone.assets import sample_path
        from roomtone.cli.compare import compare
        from roomtone.sources.convert import SampleLedger
        from roomtone.sources.file import MediaFile, open_file
        from roomtone.sources.policy import SourcePolicy

        with wave.open(str(self.path), "rb") as file:
            rate_hz = file.getframerate()
            heard = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        sample = MediaFile(open_file(str(sample_path()), SourcePolicy.local()), "the sample")
        try:
            blocks = [block.reshape(-1) for block in sample.blocks(rate_hz, 1, SampleLedger(rate_hz))]
        finally:
            sample.close()
        return compare(heard, np.concatenate(blocks), rate_hz)
