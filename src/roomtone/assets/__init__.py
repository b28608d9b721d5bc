"""Files that come with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def sample_path() -> Path:
    """The spoken sample: about 15 s of English, 24 kHz mono FLAC, made by tools/make_sample.sh."""
    return Path(str(files(__name__).joinpath("sample.flac")))
