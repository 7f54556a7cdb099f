"""Decoding one chunk of sound."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.worker.media.studio import RATE_HZ, SECOND, START_NS, Studio
from triptych.schemas.records import AudioChunk, SoundType
from triptych.worker.media import sound as sound_module
from triptych.worker.media.errors import UnreadableMediaError
from triptych.worker.media.sound import decode_sound

HALF = 8_000
NOISE = (np.random.default_rng(11).uniform(-0.9, 0.9, HALF)).astype(np.float32)


def chunk(data: bytes, *, seconds: float = 0.5, content_type: SoundType = "audio/wav") -> AudioChunk:
    """Return a chunk that covers so many seconds."""
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


def test_a_wav_of_16_bits_keeps_every_sample(studio: Studio) -> None:
    """Scaled by a power of two, so nothing is lost."""
    samples = np.array([0, 1, -1, 32_767, -32_768] * 1_600, np.int16)
    sound = decode_sound(chunk(studio.wav(samples)), RATE_HZ)
    assert sound.samples.dtype == np.float32
    np.testing.assert_array_equal(sound.samples * 32_768, samples)
    assert not sound.mended


def test_channels_are_averaged(studio: Studio) -> None:
    """Left and right cancel out, and no mix is louder than its parts."""
    left = np.full(HALF, 8_000, np.int16)
    stereo = np.stack((left, np.zeros_like(left)), axis=1)
    sound = decode_sound(chunk(studio.wav(stereo)), RATE_HZ)
    np.testing.assert_array_equal(sound.samples * 32_768, 4_000)


@pytest.mark.parametrize("channels", [3, 6, 8, 16, 64])
def test_sound_of_many_channels_is_averaged_too(channels: int) -> None:
    """Eight planes and more are what PyAV misreads."""
    recorded = np.random.default_rng(channels).uniform(-0.5, 0.5, (HALF, channels)).astype("<f4")
    fmt = struct.pack("<HHIIHH", 3, channels, RATE_HZ, RATE_HZ * 4 * channels, 4 * channels, 32)
    body = b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + struct.pack("<I", recorded.nbytes) + recorded.tobytes()
    sound = decode_sound(chunk(b"RIFF" + struct.pack("<I", len(body)) + body), RATE_HZ)
    np.testing.assert_allclose(sound.samples, recorded.mean(axis=1), atol=1e-6)


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
def test_other_codings_give_the_same_sound(
    studio: Studio, codec: str, form: str, content_type: SoundType, error: float
) -> None:
    """As exact as their bits allow, and as many samples."""
    data = studio.by_ffmpeg(NOISE, codec, form)
    sound = decode_sound(chunk(data, content_type=content_type), RATE_HZ)
    np.testing.assert_allclose(sound.samples, NOISE, atol=error)
    assert not sound.mended


def test_the_extended_header_of_wav_is_read(studio: Studio) -> None:
    """Many programs write it for plain 16-bit sound too."""
    samples = np.arange(HALF, dtype=np.int16)
    plain = studio.wav(samples)
    fmt = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE_HZ, RATE_HZ * 2, 2, 16, 22, 16, 4)
    fmt += b"\x01\x00" + bytes.fromhex("000000001000800000aa00389b71")
    body = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + plain[36:]
    sound = decode_sound(chunk(b"RIFF" + struct.pack("<I", len(body)) + body), RATE_HZ)
    np.testing.assert_array_equal(sound.samples * 32_768, samples)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_another_rate_is_resampled_in_step(studio: Studio, rate_hz: int) -> None:
    """A tone keeps its pitch, its phase and its length; that is no repair."""
    data = studio.wav((tone(rate_hz) * 32_767).astype(np.int16), rate_hz=rate_hz)
    sound = decode_sound(chunk(data), RATE_HZ)
    assert abs(len(sound.samples) - HALF) <= 2
    np.testing.assert_allclose(sound.samples[100:7_900], tone(RATE_HZ)[100:7_900], atol=2e-3)
    assert not sound.mended


def test_a_length_one_sample_off_is_rounding(studio: Studio) -> None:
    """Half a second of 11,025 Hz cannot be exact."""
    data = studio.wav(np.ones(5_512, np.int16), rate_hz=11_025)
    assert not decode_sound(chunk(data), RATE_HZ).mended


@pytest.mark.parametrize("length", [HALF - 80, HALF + 80])
def test_a_length_within_one_percent_is_mended(studio: Studio, length: int) -> None:
    """A sound card's clock runs a little fast or slow."""
    assert decode_sound(chunk(studio.wav(np.ones(length, np.int16))), RATE_HZ).mended


@pytest.mark.parametrize("length", [HALF - 82, HALF + 82, 1, 0])
def test_a_length_that_contradicts_the_times_is_refused(studio: Studio, length: int) -> None:
    """The reason says what was expected and what came."""
    with pytest.raises(UnreadableMediaError, match=rf"expected 8000 samples .* 16000 Hz, got {length}$"):
        decode_sound(chunk(studio.wav(np.ones(length, np.int16))), RATE_HZ)


def test_a_wrong_rate_in_the_header_shows_in_the_length(studio: Studio) -> None:
    """Half a second at 16 kHz that calls itself 44.1 kHz would be played too fast."""
    with pytest.raises(UnreadableMediaError, match="expected 22050 samples"):
        decode_sound(chunk(studio.wav(np.ones(HALF, np.int16), rate_hz=44_100)), RATE_HZ)


@pytest.mark.parametrize("content_type", ["audio/wav", "audio/flac"])
@pytest.mark.parametrize(
    "data",
    [b"RIFF", b"not sound at all", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", b"fLaC" + bytes(60)],
)
def test_what_is_no_sound_is_refused(data: bytes, content_type: SoundType) -> None:
    """A playlist too, whatever files it names."""
    with pytest.raises(UnreadableMediaError, match="sound: expected"):
        decode_sound(chunk(data, content_type=content_type), RATE_HZ)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.95])
@pytest.mark.parametrize("codec", ["wav", "flac"])
def test_a_chunk_that_is_cut_short_is_refused(studio: Studio, codec: str, share: float) -> None:
    """Its length contradicts its times, or its header is gone."""
    data = studio.by_ffmpeg(NOISE, "pcm_s16le" if codec == "wav" else "flac", codec)
    content_type: SoundType = "audio/wav" if codec == "wav" else "audio/flac"
    with pytest.raises(UnreadableMediaError, match="sound: expected"):
        decode_sound(chunk(data[: 1 + int(len(data) * share)], content_type=content_type), RATE_HZ)


def test_a_coding_other_than_pcm_and_flac_is_refused(studio: Studio) -> None:
    """WAV may hold nearly anything; the contract says PCM."""
    data = studio.by_ffmpeg(NOISE, "pcm_mulaw", "wav")
    assert decode_sound(chunk(data), RATE_HZ).samples.shape == (HALF,)
    with pytest.raises(UnreadableMediaError, match="expected PCM or FLAC, got adpcm_ms"):
        decode_sound(chunk(studio.by_ffmpeg(NOISE, "adpcm_ms", "wav")), RATE_HZ)


def test_samples_that_are_no_numbers_are_refused(studio: Studio) -> None:
    """One NaN would spoil the whole batch."""
    samples = NOISE.copy()
    samples[7] = np.nan
    with pytest.raises(UnreadableMediaError, match="finite"):
        decode_sound(chunk(studio.by_ffmpeg(samples, "pcm_f32le", "wav")), RATE_HZ)


def test_samples_beyond_the_range_are_clipped_and_that_is_a_repair(studio: Studio) -> None:
    """Models may rely on the range."""
    sound = decode_sound(chunk(studio.by_ffmpeg(NOISE * 2, "pcm_f32le", "wav")), RATE_HZ)
    np.testing.assert_allclose(sound.samples, np.clip(NOISE * 2, -1, 1))
    assert sound.mended


def test_sound_that_unfolds_beyond_the_limit_is_refused(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding stops at the limit, however long the chunk says that it is."""
    monkeypatch.setattr(sound_module, "MAX_VALUES", 100_000)
    data = studio.by_ffmpeg(np.zeros(200_000, np.float32), "flac", "flac")
    with pytest.raises(UnreadableMediaError, match="at most 100000 samples"):
        decode_sound(chunk(data, seconds=12.5, content_type="audio/flac"), RATE_HZ)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(["pcm_s16le", "pcm_f32le", "flac"]))
def test_a_damaged_chunk_is_decoded_or_refused(data: st.DataObject, codec: str) -> None:
    """Nothing else is ever raised, whatever bytes were flipped."""
    form = "flac" if codec == "flac" else "wav"
    damaged = bytearray(Studio().by_ffmpeg(NOISE[:800], codec, form))
    limit = min(len(damaged), 120)  # mostly headers
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, limit - 1))] = data.draw(st.integers(0, 255))
    content_type: SoundType = "audio/flac" if codec == "flac" else "audio/wav"
    with contextlib.suppress(UnreadableMediaError):
        sound = decode_sound(chunk(bytes(damaged), seconds=0.05, content_type=content_type), RATE_HZ)
        assert np.abs(sound.samples).max() <= 1


def test_sound_that_unfolds_beyond_its_times_is_not_decoded_to_its_end(studio: Studio) -> None:
    """A hundred seconds packed into a chunk of half a second."""
    data = studio.by_ffmpeg(np.zeros(1_600_000, np.float32), "flac", "flac")
    with pytest.raises(UnreadableMediaError, match=r"expected 8000 samples .*, got \d+ and more"):
        decode_sound(chunk(data, content_type="audio/flac"), RATE_HZ)
