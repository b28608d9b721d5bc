"""From what a caller names (a path, a URL, "-", an iterator, a list of these) to what can be opened."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from roomtone.sources.cancel import CancelToken
from roomtone.sources.errors import SourceError
from roomtone.sources.http import HttpStream
from roomtone.sources.pcm import AsyncPcm, IteratorPcm, PcmChunk, PcmFormat, PipePcm
from roomtone.sources.policy import SourcePolicy, is_url, without_query

if TYPE_CHECKING:
    from roomtone.sources.file import MediaFile
    from roomtone.sources.playlist import Opened, Opener

SourceSpec = str | Path | Sequence[str | Path] | Iterable[PcmChunk] | AsyncIterable[PcmChunk]
"""A file's path, an http(s) URL, "-" (PCM on standard input), a list of paths and URLs, or PCM chunks."""

STDIN: Final = "-"
MAX_ITEMS: Final = 10_000
_MAX_SHOWN: Final = 120


def describe(spec: SourceSpec) -> str:
    """One short line for people. A URL's query is left out, for it may hold a secret."""
    if isinstance(spec, str | Path):
        text = str(spec)
        if text == STDIN:
            return "standard input"
        text = without_query(text) if is_url(text) else text
        return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
    if isinstance(spec, list | tuple):
        count = len(spec)
        return describe(spec[0]) if count == 1 else f"playlist of {count} items"
    return "PCM iterator"


def openers_of(
    spec: SourceSpec, policy: SourcePolicy, pcm_format: PcmFormat, token: CancelToken
) -> tuple[list[Opener], AsyncPcm | None, bool]:
    """(what a playlist opens, the asynchronous iterator in it to start and stop, whether it can be looped).

    Raises SourceError for an empty list, TypeError for what is no source.
    """
    if isinstance(spec, str | Path):
        if str(spec) == STDIN:
            return [partial(_open_stdin, policy, pcm_format, token)], None, False
        return [partial(_open_named, str(spec), policy, token)], None, True
    if isinstance(spec, list | tuple) and all(isinstance(item, str | Path) for item in spec):
        if not spec:
            raise SourceError("empty", "the playlist is empty; put paths or URLs in it")
        if len(spec) > MAX_ITEMS:
            raise SourceError("refused", f"a playlist has at most {MAX_ITEMS} items, not {len(spec)}")
        if STDIN in spec:
            raise SourceError("refused", "standard input cannot be an item of a playlist; play it alone")
        return [partial(_open_named, str(item), policy, token) for item in spec], None, True
    if isinstance(spec, AsyncIterable):
        pump = AsyncPcm(spec, "the PCM iterator", pcm_format, token)
        return [lambda: pump], pump, False
    if isinstance(spec, bytes | bytearray | memoryview | np.ndarray):
        return [lambda: IteratorPcm([spec], "the PCM", pcm_format, token)], None, True
    if isinstance(spec, Iterable):
        chunks = cast("Iterable[PcmChunk]", spec)
        opened = IteratorPcm(chunks, "the PCM iterator", pcm_format, token)
        return [lambda: opened], None, isinstance(spec, Sequence)
    raise TypeError(f"a source is a path, a URL, '-', a list of these or an iterator of PCM, not {spec!r}")


def _open_named(text: str, policy: SourcePolicy, token: CancelToken) -> MediaFile:
    # Imported on first use, in the worker thread: PyAV takes 57 ms and 20 MB.
    from roomtone.sources.file import MediaFile, open_file

    if not is_url(text):
        return MediaFile(open_file(text, policy), text)
    stream = HttpStream(text, policy, token)
    try:
        stream.open()
    except BaseException:
        stream.close()
        raise
    return MediaFile(stream, without_query(text))


def _open_stdin(policy: SourcePolicy, pcm_format: PcmFormat, token: CancelToken) -> Opened:
    policy.check_stdin()
    try:
        descriptor = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError) as error:
        raise SourceError("missing", "there is no standard input; pipe PCM in") from error
    return PipePcm(descriptor, "standard input", pcm_format, token)
