"""Decoding one audio chunk."""

from __future__ import annotations

import contextlib
import io
import struct
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.worker.media.studio import RATE_HZ, SECOND, START_NS, Studio
from triptych.schemas.records import AudioChunk, SoundType
from triptych.worker.media import audio as audio_module
from triptych.worker.media.audio import _decode_s16_wav, decode_audio
from triptych.worker.media.errors import UnreadableMediaError
from triptych.worker.media.wav import WavParts

HALF = 8_000
NOISE = (np.random.default_rng(11).uniform(-0.9, 0.9, HALF)).astype(np.float32)


def chunk(data: bytes, *, seconds: float = 0.5, content_type: SoundType = "audio/wav") -> AudioChunk:
    """Return a chunk with a duration of `seconds`."""
    return AudioChunk(
        stream="city",
        id="1",
        source="test:sound",
        session="s1",
        start_ns=START_NS,
        end_ns=START_NS + round(seconds * SECOND),
        data=data,
        content_type=content_type,
    )


def tone(rate_hz: int, *, seconds: float = 0.5) -> NDArray[np.float32]:
    """Return a tone of 440 Hz."""
    moments = np.arange(round(rate_hz * seconds)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * 440 * moments)).astype(np.float32)


def test_16_bit_wav_is_decoded_without_loss(studio: Studio) -> None:
    """The samples are scaled by a power of two."""
    samples = np.array([0, 1, -1, 32_767, -32_768] * 1_600, np.int16)
    audio = decode_audio(chunk(studio.wav(samples)), RATE_HZ)
    assert audio.samples.dtype == np.float32
    np.testing.assert_array_equal(audio.samples * 32_768, samples)
    assert not audio.repaired


def test_channels_are_averaged(studio: Studio) -> None:
    """The mix is not louder than its channels."""
    left = np.full(HALF, 8_000, np.int16)
    stereo = np.stack((left, np.zeros_like(left)), axis=1)
    audio = decode_audio(chunk(studio.wav(stereo)), RATE_HZ)
    np.testing.assert_array_equal(audio.samples * 32_768, 4_000)


@pytest.mark.parametrize("channels", [3, 6, 8, 16, 64])
def test_many_channels_are_averaged(channels: int) -> None:
    """PyAV misreads planar frames of eight channels or more."""
    recorded = np.random.default_rng(channels).uniform(-0.5, 0.5, (HALF, channels)).astype("<f4")
    fmt = struct.pack("<HHIIHH", 3, channels, RATE_HZ, RATE_HZ * 4 * channels, 4 * channels, 32)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", recorded.nbytes) + recorded.tobytes()
    audio = decode_audio(chunk(b"RIFF" + struct.pack("<I", len(body)) + body), RATE_HZ)
    np.testing.assert_allclose(audio.samples, recorded.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("codec", "form", "content_type", "error"),
    [
        ("pcm_f32le", "wav", "audio/wav", 0),
        ("pcm_s24le", "wav", "audio/wav", 2**-22),
        ("pcm_s32le", "wav", "audio/wav", 2**-22),
        ("pcm_u8", "wav", "audio/wav", 2**-6),
        ("flac", "flac", "audio/flac", 2**-14),
    ],
)
def test_other_codecs_give_the_same_samples(
    studio: Studio, codec: str, form: str, content_type: SoundType, error: float
) -> None:
    """The number of samples is equal, and their precision is that of the codec."""
    data = studio.by_ffmpeg(NOISE, codec, form)
    audio = decode_audio(chunk(data, content_type=content_type), RATE_HZ)
    np.testing.assert_allclose(audio.samples, NOISE, atol=error)
    assert not audio.repaired


def test_the_extensible_wav_header_is_read(studio: Studio) -> None:
    """Many programs write it for plain 16-bit audio too."""
    samples = np.arange(HALF, dtype=np.int16)
    plain = studio.wav(samples)
    fmt = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE_HZ, RATE_HZ * 2, 2, 16, 22, 16, 4)
    fmt += b"\x01\x00" + bytes.fromhex("000000001000800000aa00389b71")
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + plain[36:]
    audio = decode_audio(chunk(b"RIFF" + struct.pack("<I", len(body)) + body), RATE_HZ)
    np.testing.assert_array_equal(audio.samples * 32_768, samples)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_other_sample_rates_are_resampled(studio: Studio, rate_hz: int) -> None:
    """A tone keeps its pitch, phase and length. It does not count as a repair."""
    data = studio.wav((tone(rate_hz) * 32_767).astype(np.int16), rate_hz=rate_hz)
    audio = decode_audio(chunk(data), RATE_HZ)
    assert abs(len(audio.samples) - HALF) <= 2
    np.testing.assert_allclose(audio.samples[100:7_900], tone(RATE_HZ)[100:7_900], atol=2e-3)
    assert not audio.repaired


def test_a_length_that_differs_by_one_sample_is_no_repair(studio: Studio) -> None:
    """Half a second at 11,025 Hz is not a whole number of samples."""
    data = studio.wav(np.ones(5_512, np.int16), rate_hz=11_025)
    assert not decode_audio(chunk(data), RATE_HZ).repaired


@pytest.mark.parametrize("length", [HALF - 80, HALF + 80])
def test_a_length_within_one_percent_is_repaired(studio: Studio, length: int) -> None:
    """The clocks of sound cards drift."""
    assert decode_audio(chunk(studio.wav(np.ones(length, np.int16))), RATE_HZ).repaired


@pytest.mark.parametrize("length", [HALF - 82, HALF + 82, 1, 0])
def test_a_length_that_contradicts_the_duration_is_an_error(studio: Studio, length: int) -> None:
    """The message has the expected and the actual length."""
    with pytest.raises(UnreadableMediaError, match=rf"expected 8000 samples .* 16000 Hz, got {length}$"):
        decode_audio(chunk(studio.wav(np.ones(length, np.int16))), RATE_HZ)


def test_a_wrong_sample_rate_in_the_header_is_an_error(studio: Studio) -> None:
    """Half a second at 16 kHz is too short for a header of 44.1 kHz."""
    with pytest.raises(UnreadableMediaError, match="expected 22050 samples"):
        decode_audio(chunk(studio.wav(np.ones(HALF, np.int16), rate_hz=44_100)), RATE_HZ)


@pytest.mark.parametrize("content_type", ["audio/wav", "audio/flac"])
@pytest.mark.parametrize(
    "data",
    [b"RIFF", b"not sound at all", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", b"fLaC" + bytes(60)],
)
def test_data_that_is_not_audio_is_an_error(data: bytes, content_type: SoundType) -> None:
    """A playlist is not opened, whatever files it names."""
    with pytest.raises(UnreadableMediaError, match="audio: expected"):
        decode_audio(chunk(data, content_type=content_type), RATE_HZ)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.95])
@pytest.mark.parametrize("codec", ["wav", "flac"])
def test_a_truncated_chunk_is_an_error(studio: Studio, codec: str, share: float) -> None:
    """Its length contradicts its duration, or its header is incomplete."""
    data = studio.by_ffmpeg(NOISE, "pcm_s16le" if codec == "wav" else "flac", codec)
    content_type: SoundType = "audio/wav" if codec == "wav" else "audio/flac"
    with pytest.raises(UnreadableMediaError, match="audio: expected"):
        decode_audio(chunk(data[: 1 + int(len(data) * share)], content_type=content_type), RATE_HZ)


def test_codecs_other_than_pcm_and_flac_are_an_error(studio: Studio) -> None:
    """WAV supports many codecs, but the contract allows only PCM."""
    data = studio.by_ffmpeg(NOISE, "pcm_mulaw", "wav")
    assert decode_audio(chunk(data), RATE_HZ).samples.shape == (HALF,)
    with pytest.raises(UnreadableMediaError, match="expected PCM or FLAC, got adpcm_ms"):
        decode_audio(chunk(studio.by_ffmpeg(NOISE, "adpcm_ms", "wav")), RATE_HZ)


def test_samples_that_are_not_finite_are_an_error(studio: Studio) -> None:
    """One NaN would make the whole batch NaN."""
    samples = NOISE.copy()
    samples[7] = np.nan
    with pytest.raises(UnreadableMediaError, match="finite"):
        decode_audio(chunk(studio.by_ffmpeg(samples, "pcm_f32le", "wav")), RATE_HZ)


def test_samples_out_of_range_are_clipped_and_count_as_repaired(studio: Studio) -> None:
    """Models rely on the range [-1, 1]."""
    audio = decode_audio(chunk(studio.by_ffmpeg(NOISE * 2, "pcm_f32le", "wav")), RATE_HZ)
    np.testing.assert_allclose(audio.samples, np.clip(NOISE * 2, -1, 1))
    assert audio.repaired


def test_audio_that_decodes_to_more_than_the_limit_is_an_error(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding stops at the limit, whatever the duration of the chunk."""
    monkeypatch.setattr(audio_module, "MAX_VALUES", 100_000)
    data = studio.by_ffmpeg(np.zeros(200_000, np.float32), "flac", "flac")
    with pytest.raises(UnreadableMediaError, match="at most 100000 samples"):
        decode_audio(chunk(data, seconds=12.5, content_type="audio/flac"), RATE_HZ)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(["pcm_s16le", "pcm_f32le", "flac"]))
def test_a_corrupted_chunk_is_decoded_or_an_error(data: st.DataObject, codec: str) -> None:
    """No other exception is raised, whatever bytes are changed."""
    form = "flac" if codec == "flac" else "wav"
    damaged = bytearray(Studio().by_ffmpeg(NOISE[:800], codec, form))
    limit = min(len(damaged), 120)  # mostly headers
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, limit - 1))] = data.draw(st.integers(0, 255))
    content_type: SoundType = "audio/flac" if codec == "flac" else "audio/wav"
    with contextlib.suppress(UnreadableMediaError):
        audio = decode_audio(chunk(bytes(damaged), seconds=0.05, content_type=content_type), RATE_HZ)
        assert np.abs(audio.samples).max() <= 1


def test_decoding_stops_when_the_audio_exceeds_its_duration(studio: Studio) -> None:
    """The chunk of half a second contains a hundred seconds."""
    data = studio.by_ffmpeg(np.zeros(1_600_000, np.float32), "flac", "flac")
    with pytest.raises(UnreadableMediaError, match=r"expected 8000 samples .*, got \d+ and more"):
        decode_audio(chunk(data, content_type="audio/flac"), RATE_HZ)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("cut_bytes", [0, 1, 3, 4])
def test_a_plain_wav_is_read_as_the_standard_library_reads_it(channels: int, cut_bytes: int) -> None:
    """Sample for sample, also where the last sample is cut short. The header declares what was written."""
    rng = np.random.default_rng(channels)
    written = rng.integers(-32_768, 32_767, (1_600, channels), np.int16, endpoint=True)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(written.tobytes())
    data = buffer.getvalue()[: len(buffer.getvalue()) - cut_bytes]

    decoded = decode_audio(chunk(data, seconds=0.1), 16_000)

    expected = written[: len(written) - -(-cut_bytes // (2 * channels))].astype(np.float32) / 32_768
    np.testing.assert_array_equal(decoded.samples, expected.mean(axis=1, dtype=np.float32))


@pytest.mark.parametrize(("tag", "channels", "bits"), [(1, 0, 16), (3, 1, 32), (1, 1, 8), (1, 1, 24), (65_534, 1, 16)])
def test_another_wav_is_left_to_ffmpeg(tag: int, channels: int, bits: int) -> None:
    """No channels, float, 8 and 24 bits, and the extensible form are none of the plain ones."""
    form = struct.pack("<HHLLHH", tag, channels, 16_000, 32_000, max(1, channels) * bits // 8, bits)

    assert _decode_s16_wav(WavParts(memoryview(form), memoryview(bytes(3_200)))) is None


def test_a_format_that_is_cut_short_is_left_to_ffmpeg() -> None:
    """It needs sixteen bytes."""
    assert _decode_s16_wav(WavParts(memoryview(bytes(14)), memoryview(bytes(3_200)))) is None
