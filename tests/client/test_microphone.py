"""The microphone, over a sound device of the test's own."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

import roomtone
from tests.client.rooms import DEADLINE_S, joining, serving, until


class Device:
    """Stands for sounddevice.RawInputStream: calls back from a thread of its own."""

    made: ClassVar[list[Device]] = []

    def __init__(self, callback: Callable[..., None], blocksize: int, channels: int, **settings: Any) -> None:
        self.settings = settings
        self._callback = callback
        self._block = (np.ones(blocksize * channels, np.int16) * 1_000).tobytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.closed = False
        Device.made.append(self)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.closed = True

    def _run(self) -> None:
        while not self._stop.wait(0.005):
            self._callback(self._block, len(self._block) // 2, None, None)


async def test_the_microphone_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks from the device's thread become packets; leaving closes the device."""
    monkeypatch.setitem(sys.modules, "sounddevice", SimpleNamespace(RawInputStream=Device))
    microphone = roomtone.Microphone("usb", sample_rate_hz=16_000, channels=2)
    async with serving() as server, joining(server, "bob") as bob:
        async with joining(server, "ada") as ada:
            await ada.publish(microphone, name="mic")
            remote = await bob.next_track(DEADLINE_S)
            assert remote.info.channels == 2
            await until(lambda: bob.statistics.received_frames > 3)
        device = Device.made[-1]
        assert device.closed
        assert device.settings["samplerate"] == 16_000
        assert device.settings["device"] == "usb"


async def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, with the mend."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    async with serving() as server, joining(server, "ada") as ada:
        with pytest.raises(roomtone.MissingExtra, match=r"pip install 'roomtone\[microphone\]'"):
            await ada.publish(roomtone.Microphone())
        assert ada.local_tracks == []


@pytest.mark.parametrize("settings", [{"block_ms": 1}, {"channels": 3}])
def test_settings_are_checked(settings: dict[str, int]) -> None:
    """Before any device is asked for."""
    with pytest.raises(ValueError, match="is"):
        roomtone.Microphone(**settings)  # type: ignore[arg-type]
