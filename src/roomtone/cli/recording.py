"""What was heard, as a file: WAV from decoded sound, Ogg Opus from the packets as they came."""

from __future__ import annotations

import secrets
import sys
import wave
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from roomtone.cli.exits import CliError, ExitCode
from roomtone.media.ogg import OggOpusWriter
from roomtone.media.packet import Packet
from roomtone.media.pcm import Pcm, to_bytes
from roomtone.media.sequence import timestamp_difference

MAX_GAP_TICKS: Final = 3_600 * 48_000
MAX_WAV_BYTES: Final = 2**32 - 4_096
"""Sizes in a WAV have 32 bits: 12 hours of 48 kHz mono."""


class PcmSink(Protocol):
    """Takes decoded sound."""

    def write(self, pcm: Pcm) -> None: ...
    def close(self) -> None: ...


class NoFile:
    """For those who only look."""

    def write(self, pcm: Pcm) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


class WavFile:
    """A WAV file, 16 bit. Raises CliError where it cannot be written, and when it is full.

    The header is brought up to date every second, so that a crash leaves a file that can be played.
    """

    def __init__(self, path: Path, channels: int, sample_rate_hz: int = 48_000) -> None:
        self.path = path
        self._file = _created(path)
        self._wave = wave.open(self._file, "wb")  # noqa: SIM115 - close() closes it
        self._wave.setnchannels(channels)
        self._wave.setsampwidth(2)
        self._wave.setframerate(sample_rate_hz)
        self._bytes = 0
        self._header_due = self._header_every = sample_rate_hz * channels * 2

    def write(self, pcm: Pcm) -> None:
        """int16, (samples,) or (samples, 2)."""
        data = to_bytes(pcm)
        if self._bytes + len(data) > MAX_WAV_BYTES:
            raise CliError(f"{self.path} is full: a WAV holds 4 GiB; record to an .opus file for longer")
        self._bytes += len(data)
        try:
            if self._bytes >= self._header_due:
                self._header_due += self._header_every
                self._wave.writeframes(data)
            else:
                self._wave.writeframesraw(data)
        except OSError as error:
            raise _broken_off(self.path, error) from error

    def close(self) -> None:
        """Complete the header. Idempotent."""
        try:
            self._wave.close()
        except OSError as error:
            raise _broken_off(self.path, error) from error
        finally:
            self._file.close()


class RawPcm:
    """s16le samples on standard output, for a pipe into a player."""

    def write(self, pcm: Pcm) -> None:
        """At once, for the other end plays it."""
        sys.stdout.buffer.write(to_bytes(pcm))
        sys.stdout.buffer.flush()

    def close(self) -> None:
        """Standard output is not ours to close."""


class OpusFile:
    """An Ogg Opus file of one track after the other; the time between two tracks is silence.

    Raises CliError where it cannot be written.
    """

    def __init__(self, path: Path, channels: int) -> None:
        self.path = path
        self.garbage = 0
        self.packets = 0
        self._file = _created(path)
        self._writer = OggOpusWriter(secrets.randbits(32), channels)
        try:
            self._append(self._writer.header())
        except CliError:
            self._file.close()
            raise
        self._track: int | None = None
        self._timestamp = 0
        self._position = 0
        self._begun_at: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, packet: Packet, now: float) -> None:
        """The next packet. Late ones, and payloads that are not Opus, are left out; the latter counted."""
        if self._begun_at is None:
            self._begun_at = now
        if packet.track != self._track:
            position = max(self._writer.position_ticks, round((now - self._begun_at) * 48_000))
            self._track = packet.track
        else:
            step = timestamp_difference(packet.timestamp, self._timestamp)
            if step <= 0:
                return
            position = self._position + step
            if step > MAX_GAP_TICKS:  # not a pause: the sender's clock jumped
                position = self._writer.position_ticks
        try:
            data = self._writer.add(packet.payload, position)
        except ValueError:
            self.garbage += 1
            return
        self._timestamp, self._position = packet.timestamp, position
        self.packets += 1
        self._append(data)

    @property
    def seconds(self) -> float:
        """How much is in it."""
        return self._writer.position_ticks / 48_000

    def close(self) -> None:
        """Write the last page. Idempotent."""
        if not self._file.closed:
            try:
                self._append(self._writer.close())
            finally:
                self._file.close()

    def _append(self, data: bytes) -> None:
        try:
            self._file.write(data)
        except OSError as error:
            raise _broken_off(self.path, error) from error


def _created(path: Path) -> FileIO:
    try:
        return path.open("wb", buffering=0)  # a full disk shows at once, a crash loses nothing
    except OSError as error:
        raise CliError(
            f"{path} cannot be written ({error.strerror}): choose another --output", ExitCode.USAGE
        ) from error


def _broken_off(path: Path, error: OSError) -> CliError:
    return CliError(f"{path} cannot be written any further ({error.strerror}); what was written so far is kept")
