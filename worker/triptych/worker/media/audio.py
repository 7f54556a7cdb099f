"""Decodes an audio chunk to mono samples at the model's sample rate, and checks its length against its record.

The common case (WAV, 16 bits, the model's rate) uses the standard library; all others use FFmpeg. No torch here: chunks
are decoded on several threads beside the model's thread.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Final, cast

import av
import numpy as np
from numpy.typing import NDArray

from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import AudioChunk
from triptych.units import NS_PER_S
from triptych.worker.media.errors import UnreadableMediaError
from triptych.worker.media.wav import WavParts, wav_parts

Samples = NDArray[np.float32]

MAX_VALUES: Final = 8 * 1024 * 1024
"""The limit for samples times channels of one chunk: nearly three minutes of 48 kHz mono.

Each takes 40 bytes while it is decoded (measured). FLAC compresses silence so well that a record within the size limit
could otherwise decode to a hundred gigabytes.
"""

_MIN_RATE_HZ, _MAX_RATE_HZ = 1_000, 768_000
_MAX_CHANNELS = 64
_MAX_DEVIATION = 0.01
_S16_BYTES, _S16_SCALE = 2, np.float32(1 / 32_768)
_PCM: Final = 1
_WAV_FORMAT: Final = struct.Struct("<HHLLHH")
"""Format tag, channels, samples a second, bytes a second, bytes of all channels of a sample, bits of one."""


@dataclass(frozen=True, slots=True)
class DecodedAudio:
    """Mono samples in [-1, 1]: float32 `[S]`. `repaired`: they were clipped, or slightly too long or short."""

    samples: Samples
    rate_hz: int
    repaired: bool = False


def decode_audio(chunk: AudioChunk, rate_hz: int) -> DecodedAudio:
    """Return the samples of a chunk at `rate_hz`. Thread-safe.

    Raises:
        UnreadableMediaError: if the chunk cannot be decoded, or its length contradicts its record.
    """
    audio = _decoded(chunk)
    deviation = _deviation(audio, chunk)
    samples = audio.samples if audio.rate_hz == rate_hz else _resampled(audio, rate_hz)
    return DecodedAudio(samples, rate_hz, repaired=audio.repaired or abs(deviation) > 1)


def _decoded(chunk: AudioChunk) -> DecodedAudio:
    if chunk.content_type == "audio/flac":
        return _in_range(_decode_by_ffmpeg(chunk.data, "flac", chunk))
    wav = wav_parts(chunk.data)
    return _decode_s16_wav(wav) or _in_range(_decode_by_ffmpeg(wav.bare(), "wav", chunk))


def _decode_s16_wav(wav: WavParts) -> DecodedAudio | None:
    """Return the samples of a plain 16-bit WAV; None if it needs FFmpeg. They are in [-1, 1)."""
    if len(wav.format) < _WAV_FORMAT.size:
        return None
    tag, channels, rate_hz, _, _, bits = _WAV_FORMAT.unpack_from(wav.format)
    is_plain = tag == _PCM and (bits + 7) // 8 == _S16_BYTES
    if not is_plain or not 1 <= channels <= _MAX_CHANNELS or not _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ:
        return None
    if len(wav.samples) > MAX_VALUES * _S16_BYTES:
        raise _too_many()
    whole = len(wav.samples) // (channels * _S16_BYTES) * channels
    values = np.multiply(np.frombuffer(wav.samples, "<i2", count=whole), _S16_SCALE, dtype=np.float32)
    if channels == 1:
        return DecodedAudio(values, rate_hz)
    return DecodedAudio(_mono(values.reshape(-1, channels).T), rate_hz)  # [S * C] -> [S, C] -> [C, S]


def _decode_by_ffmpeg(data: bytes, container_format: str, chunk: AudioChunk) -> DecodedAudio:
    """Decode PCM or FLAC. The container format is fixed: FFmpeg could otherwise detect a playlist that opens files."""
    try:
        # Metadata text may be in any encoding; it is not used here.
        with av.open(io.BytesIO(data), mode="r", format=container_format, metadata_errors="ignore") as container:
            return _first_track(container, chunk)
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise UnreadableMediaError(
            f"audio: expected {container_format} that decodes, got {_message_of(error)}"
        ) from error


def _first_track(container: av.container.InputContainer, chunk: AudioChunk) -> DecodedAudio:
    if not container.streams.audio:
        raise UnreadableMediaError("audio: expected one track, got none")
    track = container.streams.audio[0]
    _check_codec(track)
    rate_hz = track.codec_context.sample_rate
    max_samples = _expected_samples(chunk, rate_hz) * (1 + _MAX_DEVIATION) + 1
    to_float = av.AudioResampler(format="flt")
    parts: list[Samples] = []
    samples = values = 0
    for frame in container.decode(track):
        samples += frame.samples
        values += frame.samples * frame.layout.nb_channels
        if values > MAX_VALUES:
            raise _too_many()
        if samples > max_samples:  # stop here: the rest may be very long
            raise _wrong_length(chunk, rate_hz, f"{samples} and more")
        parts += [_mono(_channels_samples(part)) for part in to_float.resample(frame)]
    return DecodedAudio(np.concatenate(parts) if parts else np.empty(0, np.float32), rate_hz)


def _check_codec(track: av.AudioStream) -> None:
    context = cast("av.AudioCodecContext | None", track.codec_context)
    if context is None:  # not in the stubs: PyAV has no decoder for this codec
        raise UnreadableMediaError("audio: expected PCM or FLAC, got an unknown codec", DeadReason.UNKNOWN_FORMAT)
    codec, channels, rate_hz = context.name, context.layout.nb_channels, context.sample_rate
    if not (codec == "flac" or codec.startswith("pcm_")):
        raise UnreadableMediaError(f"audio: expected PCM or FLAC, got {codec}", DeadReason.UNKNOWN_FORMAT)
    if not 1 <= channels <= _MAX_CHANNELS:
        message = f"audio: expected 1 to {_MAX_CHANNELS} channels, got {channels}"
        raise UnreadableMediaError(message, DeadReason.UNKNOWN_FORMAT)
    if not _MIN_RATE_HZ <= rate_hz <= _MAX_RATE_HZ:
        message = f"audio: expected {_MIN_RATE_HZ} to {_MAX_RATE_HZ} Hz, got {rate_hz} Hz"
        raise UnreadableMediaError(message, DeadReason.UNKNOWN_FORMAT)


def _channels_samples(frame: av.AudioFrame) -> Samples:
    """Return the samples `[C, S]` of a packed frame. PyAV reads out of bounds for planar ones of 8 channels or more."""
    packed = cast("Samples", frame.to_ndarray())  # [1, S * C]
    return packed.reshape(-1, frame.layout.nb_channels).T  # [S, C] -> [C, S]


def _mono(channels_samples: Samples) -> Samples:
    """Return the mean of the channels. FFmpeg's own downmix of float samples would be louder."""
    with np.errstate(invalid="ignore"):  # infinities of both signs: `_in_range` raises for the sum
        mono = channels_samples.mean(axis=0, dtype=np.float32)  # [C, S] -> [S]
    return cast("Samples", mono)


def _in_range(audio: DecodedAudio) -> DecodedAudio:
    """Clip the samples to [-1, 1]. Raise for NaN and infinity."""
    if not np.isfinite(audio.samples).all():
        raise UnreadableMediaError("audio: expected finite samples, got NaN or infinity")
    clipped = np.clip(audio.samples, -1, 1)
    return DecodedAudio(clipped, audio.rate_hz, repaired=not np.array_equal(clipped, audio.samples))


def _deviation(audio: DecodedAudio, chunk: AudioChunk) -> float:
    """Return how many samples the chunk has beyond its duration. Raise if it is off by more than 1 %."""
    expected = _expected_samples(chunk, audio.rate_hz)
    actual = len(audio.samples)
    if actual == 0 or abs(actual - expected) > _MAX_DEVIATION * expected + 1:
        raise _wrong_length(chunk, audio.rate_hz, str(actual))
    return actual - expected


def _expected_samples(chunk: AudioChunk, rate_hz: int) -> float:
    """Return the number of samples for the duration of the record."""
    return (chunk.end_ns - chunk.start_ns) * rate_hz / NS_PER_S


def _wrong_length(chunk: AudioChunk, rate_hz: int, actual: str) -> UnreadableMediaError:
    expected = f"{_expected_samples(chunk, rate_hz):.0f} samples from its duration and {rate_hz} Hz"
    message = f"audio: expected {expected}, got {actual}"
    return UnreadableMediaError(message, DeadReason.WRONG_LENGTH)


def _resampled(audio: DecodedAudio, rate_hz: int) -> Samples:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
    frame = av.AudioFrame.from_ndarray(audio.samples[np.newaxis], format="flt", layout="mono")  # [S] -> [1, S]
    frame.sample_rate = audio.rate_hz
    parts = [_channels_samples(part)[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
    return cast("Samples", np.clip(np.concatenate(parts), -1, 1))  # resampling a steep edge overshoots


def _too_many() -> UnreadableMediaError:
    message = f"audio: expected at most {MAX_VALUES} samples in a chunk, got more"
    return UnreadableMediaError(message, DeadReason.TOO_LARGE)


def _message_of(error: Exception) -> str:
    return str(error) or type(error).__name__
