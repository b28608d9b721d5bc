"""What goes wrong with a source, each in one line with its mend."""

from __future__ import annotations

from typing import Literal

SourceFault = Literal[
    "missing",
    "directory",
    "empty",
    "permission",
    "not_regular",
    "no_audio",
    "not_audio",
    "refused",
    "unreachable",
    "http_status",
    "died_midway",
    "bad_pcm",
    "read_failed",
    "stopped",
]


class SourceError(Exception):
    """A source that cannot be played, or not any further. `fault` is for programs, str() for people."""

    def __init__(self, fault: SourceFault, message: str) -> None:
        super().__init__(message)
        self.fault: SourceFault = fault


class Cancelled(Exception):
    """A blocking call ended since its source is being closed. Never leaves this package."""
