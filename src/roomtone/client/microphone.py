"""The microphone as a source of PCM, through the optional `sounddevice`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import numpy as np

from roomtone.client.errors import MissingExtra
from roomtone.client.queues import DropOldest
from roomtone.media.pcm import Pcm

_BOUND_MS: Final = 500


def _sounddevice() -> Any:
    try:
        import sounddevice  # type: ignore[import-not-found, unused-ignore]
    except ImportError as error:
        raise MissingExtra(f"the microphone needs sounddevice: pip install 'roomtone[microphone]' ({error})") from error
    except OSError as error:
        raise MissingExtra(f"sounddevice needs PortAudio: install libportaudio2, or the like ({error})") from error
    return sounddevice


class Microphone:
    """An asynchronous iterator of int16 PCM from an input device; give it to `room.publish`.

    device: sounddevice's name or number, None for the system's choice. block_ms: 5 to 100. The device is open
    while somebody iterates. dropped_blocks: what a late reader did not get, past 500 ms. Without the extra
    `microphone` check(), room.publish() and iterating raise MissingExtra.
    """

    def __init__(
        self,
        device: str | int | None = None,
        *,
        sample_rate_hz: int = 48_000,
        channels: int = 1,
        block_ms: int = 10,
    ) -> None:
        if not 5 <= block_ms <= 100:
            raise ValueError(f"block_ms is 5 to 100, not {block_ms}")
        if channels not in (1, 2):
            raise ValueError(f"channels is 1 or 2, not {channels}")
        self.device: Final = device
        self.sample_rate_hz: Final = sample_rate_hz
        self.channels: Final = channels
        self.block_ms: Final = block_ms
        self.dropped_blocks = 0

    def check(self) -> None:
        """Raises MissingExtra where a microphone cannot be had for want of software."""
        _sounddevice()

    async def __aiter__(self) -> AsyncIterator[Pcm]:
        sounddevice = _sounddevice()
        loop = asyncio.get_running_loop()
        queue: DropOldest[Pcm] = DropOldest(_BOUND_MS // self.block_ms)

        def captured(data: Any, frames: int, time: Any, status: Any) -> None:
            # The device's own thread: copy, for the buffer is used again, and leave.
            block = np.frombuffer(data, np.int16).copy()
            block = block if self.channels == 1 else block.reshape(-1, self.channels)
            try:
                loop.call_soon_threadsafe(queue.put, block)
            except RuntimeError:
                pass  # the loop was closed over us

        stream = sounddevice.RawInputStream(
            samplerate=self.sample_rate_hz,
            blocksize=self.sample_rate_hz * self.block_ms // 1000,
            device=self.device,
            channels=self.channels,
            dtype="int16",
            callback=captured,
        )
        try:
            stream.start()
            while True:
                block = await queue.get()
                self.dropped_blocks = queue.dropped
                yield block
        finally:
            stream.close()
