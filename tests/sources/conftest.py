"""A check that every test here leaves no thread, file or pipe behind."""

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
def _nothing_left() -> Iterator[None]:
    before = _descriptors()
    yield
    if _left(before):
        gc.collect()  # what only a cycle keeps
    assert not _left(before)


def _left(before: set[str]) -> set[str]:
    """Worker threads, files and pipes; pytest and the event loop have their own sockets."""
    threads = {thread.name for thread in threading.enumerate() if thread.name == "roomtone source"}
    opened = {name for name in _descriptors() - before if "socket:" not in name and "anon_inode" not in name}
    return threads | opened
