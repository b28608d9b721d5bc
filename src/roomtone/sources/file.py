"""Anything that PyAV reads, from an open file, to int16 blocks."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Generator
from pathlib import Path
from typing import Any, BinaryIO, Final

import av
from av.error import FFmpegError

from roomtone.media.pcm import Pcm
from roomtone.sources.convert import Converter, SampleLedger
from roomtone.sources.errors import Cancelled, SourceError, SourceFault
from roomtone.sources.policy import SourcePolicy

MAX_BROKEN_IN_A_ROW: Final = 200
"""Packets that decode to nothing but errors before the rest of a file is given up; 5 s of MP3."""

_LISTS: Final = (".m3u8", ".m3u", ".pls", ".xspf", ".mpd")

# A playlist or a session description inside a file could name other files and hosts. Nested opens all go
# through `io_open`, but for RTP and its like, which open sockets by themselves: for those no protocol is
# named "none".
_OPTIONS: Final = {"protocol_whitelist": "none", "probesize": "1000000", "analyzeduration": "3000000"}


class _NestedOpen(Exception):
    pass


def _refuse_nested(url: str, flags: int, options: dict[str, str]) -> Any:
    raise _NestedOpen(url)


def open_file(spec: str, policy: SourcePolicy) -> BinaryIO:
    """Open a regular file that the policy allows. Raises SourceError; the caller closes the result."""
    path = policy.check_file(spec)
    try:
        # Not blocking: opening a named pipe would wait for its other end. The path is resolved already; its
        # last part must not have become a link since.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError as error:
        raise _from_os_error(spec, error) from error
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise SourceError("directory", f"{spec} is a directory; name the files in it")
        if not stat.S_ISREG(status.st_mode):
            raise SourceError("not_regular", f"{spec} is not a regular file; pipe raw PCM in with '-'")
        if status.st_size == 0:
            raise SourceError("empty", f"{spec} is empty; use another file")
        if not policy.allow_any_file and not _still_inside(descriptor, policy):
            raise SourceError("refused", f"{spec} is not below the media directory; copy it there")
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _still_inside(descriptor: int, policy: SourcePolicy) -> bool:
    """Whether what was opened is below media_dir: a directory on the way may have become a link since."""
    try:
        real = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # no /proc: the check of the path stands
        return True
    return policy.media_dir is not None and Path(real).is_relative_to(policy.media_dir.resolve())


class MediaFile:
    """One open file, or a file-like object, as audio. Closes it. Blocks: for a worker thread.

    stream: read() and, if it can, seek(); a `failure` that it sets when its data ends early is raised from
    here. label: what messages call it. Raises SourceError from the constructor for what is not audio.
    """

    def __init__(self, stream: BinaryIO | io.RawIOBase, label: str) -> None:
        self.label = label
        self.skipped_packets = 0
        self._stream = stream
        self._container: Any = None
        try:
            self._container = av.open(stream, mode="r", options=dict(_OPTIONS), io_open=_refuse_nested)
            if not self._container.streams.audio:
                raise SourceError("no_audio", f"{label} has no audio in it; use another file")
            self._audio = self._container.streams.audio[0]
            # Threads of FFmpeg's own would buy nothing for audio, and would have to be joined.
            self._audio.codec_context.thread_count = 1
            self.native_channels: int = max(1, self._audio.codec_context.channels)
        except BaseException as error:
            self.close()
            raise self._explained(error) from error

    def blocks(self, rate_hz: int, channels: int, ledger: SampleLedger) -> Generator[Pcm]:
        """All of its sound. Broken packets are left out and counted.

        Raises SourceError where nothing can be decoded, or where the data ends early.
        """
        converter = Converter(rate_hz, channels, ledger)
        for frame in self._frames():
            yield from converter.push(frame)
        yield from converter.finish()
        self._raise_failure()
        if not converter.seconds:
            raise SourceError("not_audio", f"{self.label} holds nothing that can be decoded; use another file")

    def close(self) -> None:
        """Idempotent."""
        if self._container is not None:
            self._container.close()
            self._container = None
        self._stream.close()

    def _frames(self) -> Generator[av.AudioFrame]:
        broken = 0
        packets = self._container.demux(self._audio)
        while broken < MAX_BROKEN_IN_A_ROW:
            try:
                packet = next(packets, None)
            except av.error.EOFError:
                return
            except (FFmpegError, OSError, ValueError):
                self._raise_failure()
                packets = self._container.demux(self._audio)  # an error ends the generator, not the file
                broken += 1
                continue
            if packet is None:
                return
            try:
                frames = packet.decode()
            except (FFmpegError, ValueError):
                self.skipped_packets += 1
                broken += 1
                continue
            broken = 0
            yield from frames

    def _raise_failure(self) -> None:
        failure = getattr(self._stream, "failure", None)
        if failure is not None:
            raise failure

    def _explained(self, error: BaseException) -> BaseException:
        failure = getattr(self._stream, "failure", None)
        if isinstance(failure, (SourceError, Cancelled)):
            return failure
        if isinstance(error, _NestedOpen):
            return SourceError("refused", f"{self.label} is a playlist of other places; name those places instead")
        if isinstance(error, av.error.PermissionError):
            return SourceError("refused", f"{self.label} refers to other files, which is not allowed; name those files")
        if isinstance(error, (FFmpegError, OSError, ValueError, IndexError)):
            if self.label.partition("?")[0].lower().endswith(_LISTS):
                return SourceError("refused", f"{self.label} is a list of other places; name those places instead")
            return SourceError("not_audio", f"{self.label} is not audio that can be decoded; check the file")
        return error


def _from_os_error(spec: str, error: OSError) -> SourceError:
    fault: SourceFault = "read_failed"
    text = f"{spec} cannot be read ({error.strerror}); check it"
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        fault, text = "missing", f"{spec} does not exist; check the path"
    elif isinstance(error, PermissionError):
        fault, text = "permission", f"{spec} may not be read by this user; change its permissions"
    return SourceError(fault, text)
