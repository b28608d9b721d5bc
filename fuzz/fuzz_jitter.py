"""Drives the jitter buffer, with a real Opus decoder behind it, with arbitrary packets, as a sender could.

`python fuzz/fuzz_jitter.py [CORPUS_DIR] [libFuzzer options]` runs it under atheris, guided by coverage;
`-max_total_time=60` stops after a minute. tests/media/test_jitter_fuzz.py drives the same function with hypothesis.
"""

from __future__ import annotations

import sys

import numpy as np

from roomtone.media.codec import make_decoder
from roomtone.media.delay import LOSSY, WEBSOCKET, fixed
from roomtone.media.jitter import JitterBuffer
from roomtone.media.packet import HEADER_BYTES, Codec, Packet, PacketError

SETTINGS = (WEBSOCKET, LOSSY, fixed(10), fixed(60))
PULL_MS = (10, 20)
MAX_STEPS = 400
"""Packets and pulls of one input: four seconds of audio at the least."""


def drive(data: bytes) -> JitterBuffer:
    """The first byte chooses settings, content, channels and pull; then steps: a byte n below 128 is n % 8 pulls and
    as many milliseconds of lateness, another is a packet of n - 128 bytes (header included, its first four made
    valid), and 255 flushes to the next two bytes' sequence number."""
    mode = data[0] if data else 0
    channels = 1 + (mode >> 2 & 1)
    pull_ms = PULL_MS[mode >> 3 & 1]
    buffer = JitterBuffer(
        SETTINGS[mode & 3],
        make_decoder(Codec.OPUS, channels, 48_000),
        channels=channels,
        content="music" if mode & 16 else "voice",
        pull_ms=pull_ms,
    )
    expected = pull_ms * 48
    now, position = 0.0, 1
    for _ in range(MAX_STEPS):
        if position >= len(data):
            break
        step = data[position]
        position += 1
        if step == 255:
            buffer.flush(int.from_bytes(data[position : position + 2], "big"), now)
            position += 2
        elif step >= 128:
            size = step - 128
            raw = bytearray(data[position : position + size])
            position += size
            if len(raw) > HEADER_BYTES:
                raw[0], raw[1], raw[3] = 0x11, raw[1] & 0x0F, 0
            try:
                packet = Packet.decode(bytes(raw))
            except PacketError:
                continue
            buffer.push(packet, now)
        else:
            for _ in range(step % 8):
                now += pull_ms / 1000
                pcm = buffer.pop(now + (step >> 3) / 1000)
                assert len(pcm) == expected
                assert pcm.dtype == np.int16
    statistics = buffer.statistics
    assert statistics.depth_ms >= 0
    assert statistics.target_ms >= 0
    return buffer


def one_input(data: bytes) -> None:
    """What atheris calls."""
    drive(data)


def main() -> None:
    """Run under atheris; without it, say how to get it."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed: pip install atheris (or run tests/media/test_jitter_fuzz.py)")
    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
