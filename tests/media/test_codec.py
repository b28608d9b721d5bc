"""One face over every codec."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roomtone.media.codec import CODEC_RATES_HZ, duration_ticks, make_decoder, make_encoder
from roomtone.media.opus import OpusDecoder, OpusEncoder
from roomtone.media.packet import Codec
from tests.media.signals import rms, tone, voice

RATES_HZ = (8_000, 16_000, 22_050, 24_000, 44_100, 48_000)


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_every_codec_at_every_rate(codec: Codec, rate_hz: int) -> None:
    """20 ms in, 20 ms out, as loud as before, whatever rates the caller and the codec have."""
    pcm = tone(rate_hz, 400)
    frame = rate_hz // 50
    encoder = make_encoder(codec, 1, rate_hz, bitrate_bps=48_000)
    decoder = make_decoder(codec, 1, rate_hz)
    assert (encoder.sample_rate_hz, encoder.channels) == (rate_hz, 1)
    assert (decoder.sample_rate_hz, decoder.channels) == (rate_hz, 1)
    heard = []
    for at in range(0, len(pcm), frame):
        payload = encoder.encode(pcm[at : at + frame])
        assert duration_ticks(codec, payload) == 960
        heard.append(decoder.decode(payload))
    assert {len(pcm) for pcm in heard} == {frame}
    assert rms(np.concatenate(heard[5:])) == pytest.approx(rms(pcm), rel=0.1)
    encoder.close()
    decoder.close()


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_losses_are_concealed_at_the_asked_length(codec: Codec, rate_hz: int) -> None:
    """A lost frame is filled with sound of its own length, by concealment or from the next payload."""
    encoder, decoder = make_encoder(codec, 1, rate_hz), make_decoder(codec, 1, rate_hz)
    pcm = voice(rate_hz, 120)
    frame = rate_hz // 50
    payloads = [encoder.encode(pcm[at : at + frame]) for at in range(0, len(pcm), frame)]
    for payload in payloads:
        decoder.decode(payload)
    concealed = decoder.conceal(frame)
    assert len(concealed) == frame
    assert rms(concealed) > 100
    assert len(decoder.decode_fec(payloads[0], frame)) == frame
    decoder.reset()
    assert rms(decoder.conceal(frame)) < 30


@pytest.mark.parametrize("codec", list(Codec))
def test_stereo(codec: Codec) -> None:
    """Two channels stay two, and apart."""
    left = tone(48_000, 400)
    pcm = np.stack([left, np.zeros_like(left)], 1)
    encoder, decoder = make_encoder(codec, 2, bitrate_bps=96_000), make_decoder(codec, 2)
    payloads = [encoder.encode(pcm[at : at + 960]) for at in range(0, len(pcm), 960)]
    heard = np.concatenate([decoder.decode(payload) for payload in payloads])
    assert heard.shape == pcm.shape
    assert rms(heard[9600:, 0]) > 25 * rms(heard[9600:, 1])
    assert {duration_ticks(codec, payload, 2) for payload in payloads} == {960}
    assert decoder.conceal(960).shape == (960, 2)


def test_opus_is_not_wrapped_at_its_own_rates() -> None:
    """An agent at 16 kHz pays for no resampler."""
    assert isinstance(make_decoder(Codec.OPUS, 1, 16_000), OpusDecoder)
    assert isinstance(make_encoder(Codec.OPUS, 1, 24_000), OpusEncoder)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_opus_obeys_a_bitrate(rate_hz: int) -> None:
    """`set_bitrate` reaches the encoder through the resampler too."""
    encoder = make_encoder(Codec.OPUS, 1, rate_hz, bitrate_bps=40_000)
    assert encoder.bitrate_bps == 40_000
    encoder.bitrate_bps = 12_000
    assert encoder.bitrate_bps == 12_000
    with pytest.raises(ValueError, match="bitrate"):
        encoder.bitrate_bps = 1


def test_waveforms_have_one_bitrate() -> None:
    """A wish for another is not an error, so that callers need not know the codec."""
    for codec, bitrate in ((Codec.PCM_16K, 256_000), (Codec.PCM_48K, 768_000), (Codec.PCMU, 64_000)):
        encoder = make_encoder(codec, 1, 48_000)
        encoder.bitrate_bps = 20_000
        assert encoder.bitrate_bps == bitrate


def test_durations() -> None:
    """48 kHz ticks for each codec, and none for parts of samples."""
    assert duration_ticks(Codec.OPUS, b"\xf8\xff\xfe") == 960
    assert duration_ticks(Codec.PCM_16K, bytes(640)) == 960
    assert duration_ticks(Codec.PCM_24K, bytes(960)) == 960
    assert duration_ticks(Codec.PCM_48K, bytes(1920)) == 960
    assert duration_ticks(Codec.PCM_48K, bytes(1920), 2) == 480
    assert duration_ticks(Codec.PCMA, bytes(160)) == 960
    for codec, payload, channels in (
        (Codec.PCM_16K, bytes(3), 1),
        (Codec.PCM_48K, bytes(6), 2),
        (Codec.PCMU, bytes(3), 2),
        (Codec.PCMU, b"", 1),
        (Codec.OPUS, b"", 1),
    ):
        with pytest.raises(ValueError):
            duration_ticks(codec, payload, channels)


@settings(deadline=None)
@given(
    codec=st.sampled_from(Codec),
    payloads=st.lists(st.binary(max_size=200), max_size=4),
    rate_hz=st.sampled_from(RATES_HZ),
    channels=st.sampled_from((1, 2)),
)
def test_no_payload_does_worse_than_a_value_error(
    codec: Codec, payloads: list[bytes], rate_hz: int, channels: int
) -> None:
    """Any bytes decode to samples or are refused, and the decoder goes on."""
    decoder = make_decoder(codec, channels, rate_hz)
    for payload in payloads:
        try:
            pcm = decoder.decode(payload)
        except ValueError:
            continue
        assert pcm.dtype == np.int16
        assert abs(len(pcm) - duration_ticks(codec, payload, channels) * rate_hz / 48_000) <= 1
    assert len(decoder.conceal(rate_hz // 50)) == rate_hz // 50


@pytest.mark.parametrize("codec", list(Codec))
def test_wrong_frames_are_refused(codec: Codec) -> None:
    """No samples, the wrong channels, another type, a length that is not whole in the codec's rate."""
    own_rate = CODEC_RATES_HZ[codec]
    for rate_hz in (own_rate, 44_100):
        encoder = make_encoder(codec, 1, rate_hz)
        for bad in (np.zeros(0, np.int16), np.zeros((960, 2), np.int16), np.zeros(960)):
            with pytest.raises(ValueError):
                encoder.encode(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="whole"):
        make_encoder(codec, 1, 44_100).encode(np.zeros(883, np.int16))
    with pytest.raises(ValueError, match="whole"):
        make_decoder(codec, 1, 44_100).conceal(883)
    for make in (make_encoder, make_decoder):
        with pytest.raises(ValueError, match="channels"):
            make(codec, 3, own_rate)
