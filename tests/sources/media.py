"""Real audio files and raw sound for the tests to read back."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

Pcm = npt.NDArray[np.int16]


def tone(samples: int, rate_hz: int, *, frequency_hz: float = 440, channels: int = 1) -> Pcm:
    """A sine at a quarter of full scale, shape (samples,) or (samples, channels)."""
    mono = (np.sin(np.arange(samples) * 2 * np.pi * frequency_hz / rate_hz) * 8_000).astype(np.int16)
    return mono if channels == 1 else np.repeat(mono[:, None], channels, axis=1)


def write_wav(path: Path, samples: int, rate_hz: int = 48_000, *, channels: int = 1) -> Path:
    """A WAV file of a tone."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(tone(samples, rate_hz, channels=channels).astype("<i2").tobytes())
    return path


def write_encoded(path: Path, codec: str, samples: int, rate_hz: int = 48_000) -> Path:
    """The same, encoded, in the container that the path's ending names."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(samples, rate_hz).reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(
            format=stream.codec_context.format,
            layout="mono",
            rate=rate_hz,
            frame_size=stream.codec_context.frame_size or None,
        )
        for out in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(out))
        container.mux(stream.encode(None))
    return path


def write_video(path: Path) -> Path:
    """A file with pictures and no sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            picture = np.zeros((64, 64, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path
