"""One simulated listener of the jitter buffer's bench, on a virtual clock."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from roomtone.media.delay import JitterSettings
from roomtone.media.jitter import JitterBuffer
from roomtone.media.jitter_statistics import JitterStatistics
from roomtone.media.opus import OpusDecoder, OpusEncoder
from roomtone.media.packet import Packet
from tests.sim.network import Network, arrivals

SAMPLE = Path(__file__).resolve().parent.parent / "src" / "roomtone" / "assets" / "sample.flac"
FRAME_S = 0.02
FRAME_TICKS = 960
PULL_S = 0.01
WARM_S = 8.0


def encode_sample(bitrate_bps: int, expected_loss_percent: int) -> list[bytes]:
    """The spoken sample as 20 ms Opus packets with in-band FEC."""
    resampler = av.AudioResampler("s16", "mono", 48_000)
    with av.open(str(SAMPLE)) as container:
        pieces = [
            out.to_ndarray().reshape(-1) for frame in container.decode(audio=0) for out in resampler.resample(frame)
        ]
    sound = np.concatenate(pieces)
    encoder = OpusEncoder(
        48_000,
        1,
        bitrate_bps=bitrate_bps,
        inband_fec=expected_loss_percent > 0,
        expected_loss_percent=expected_loss_percent,
    )
    return [encoder.encode(sound[at : at + FRAME_TICKS]) for at in range(0, len(sound) - FRAME_TICKS + 1, FRAME_TICKS)]


@dataclass
class Run:
    """What one simulated listener saw, with a sample of its state at every pull."""

    before: JitterStatistics
    after: JitterStatistics
    measured_s: float
    depths_ms: list[float] = field(default_factory=list)
    underruns: list[float] = field(default_factory=list)
    concealed: list[tuple[float, int]] = field(default_factory=list)

    def total(self, name: str) -> float:
        return float(getattr(self.after, name) - getattr(self.before, name))

    @property
    def delay_ms(self) -> float:
        return self.total("waited_ms") / max(1.0, self.total("emitted_samples"))

    def percent(self, name: str) -> float:
        return 100.0 * self.total(name) / (self.measured_s * 48_000)


def play(
    settings: JitterSettings,
    payloads: Sequence[bytes],
    network: Network,
    *,
    seconds: float,
    warm_s: float = WARM_S,
    phase_s: float = 0.0,
    sender_ppm: float = 0.0,
) -> Run:
    """Send `payloads` over and over for warm_s + seconds, and listen. sender_ppm: how fast its clock is."""
    step = FRAME_S / (1.0 + sender_ppm * 1e-6)
    count = int((warm_s + seconds) / step)
    came = list(arrivals(network, (phase_s + index * step for index in range(count))))
    buffer = JitterBuffer(settings, OpusDecoder(48_000, 1))
    before: JitterStatistics | None = None
    run_depths: list[float] = []
    underruns: list[float] = []
    concealed: list[tuple[float, int]] = []
    last = buffer.statistics
    at = 0
    for pull in range(1, int((warm_s + seconds) / PULL_S)):
        now = pull * PULL_S
        while at < len(came) and came[at].now <= now:
            arrival = came[at]
            at += 1
            index = arrival.index
            buffer.push(
                Packet(1, index & 0xFFFF, index * FRAME_TICKS & 0xFFFFFFFF, payloads[index % len(payloads)]),
                arrival.now,
            )
        buffer.pop(now)
        statistics = buffer.statistics
        run_depths.append(statistics.depth_ms)
        if statistics.underruns > last.underruns:
            underruns.append(now)
        if statistics.concealed_samples > last.concealed_samples:
            concealed.append((now, statistics.concealed_samples - last.concealed_samples))
        last = statistics
        if before is None and now >= warm_s:
            before = statistics
    assert before is not None
    return Run(before, last, seconds, run_depths, underruns, concealed)
