"""A check that every test here leaves no thread and no open descriptor behind."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator

import pytest


def _descriptors() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")
        except OSError:
            continue  # the listing's own
    return found


@pytest.fixture(autouse=True)
def _nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    gc.collect()
    before = _descriptors()
    yield
    gc.collect()
    threads = [thread.name for thread in threading.enumerate() if thread.name == "roomtone source"]
    assert not threads
    media = {name for name in _descriptors() - before if "socket:" not in name and "anon_inode" not in name}
    assert not media
