"""Decode one chunk of sound to mono samples at the model's rate, and hold it to the times that its record gives.

The usual chunk (WAV, 16 bits, the model's own rate) takes the standard library's short way; all others go through
FFmpeg. No torch here: chunks are decoded on several threads beside the model's.
"""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from typing import Final, cast

import av
import numpy as np
from numpy.typing import NDArray

from triptych.schemas.reasons import DeadReason
from triptych.schemas.records import AudioChunk
from triptych.units import NS_PER_S
from triptych.worker.media.errors import UnreadableMediaError
from triptych.worker.media.wav import bare_wav

Samples = NDArray[np.float32]

MAX_VALUES: Final = 8 * 1024 * 1024
"""Samples times channels of one chunk: nearly three minutes of 48 kHz mono, at 40 bytes each while it is decoded
(measured). FLAC packs silence so well that a record within the size limit could otherwise unfold to a hundred
gigabytes."""

_LOWEST_RATE_HZ, _HIGHEST_RATE_HZ = 1_000, 768_000
_MOST_CHANNELS = 64
_MAX_DEVIATION = 0.01
_S16_BYTES, _S16_SCALE = 2, np.float32(1 / 32_768)


@dataclass(frozen=True, slots=True)
class DecodedSound:
    """Mono samples in [-1, 1]. `mended` says that they were not quite what the record said."""

    samples: Samples
    rate_hz: int
    mended: bool = False


def decode_sound(chunk: AudioChunk, rate_hz: int) -> DecodedSound:
    """Return the chunk's samples at `rate_hz`; raise `UnreadableMediaError` where they cannot be used."""
    sound = _in_range(_decoded(chunk))
    deviation = _deviation(sound, chunk)
    samples = sound.samples if sound.rate_hz == rate_hz else _resampled(sound, rate_hz)
    return DecodedSound(samples, rate_hz, mended=sound.mended or abs(deviation) > 1)


def _decoded(chunk: AudioChunk) -> DecodedSound:
    if chunk.content_type == "audio/flac":
        return _by_ffmpeg(chunk.data, "flac", chunk)
    data = bare_wav(chunk.data)
    return _s16_wav(data) or _by_ffmpeg(data, "wav", chunk)


def _s16_wav(data: bytes) -> DecodedSound | None:
    """Return the sound of a plain WAV of 16 bits; None where FFmpeg has to look."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            channels, rate_hz = file.getnchannels(), file.getframerate()
            if (
                file.getsampwidth() != _S16_BYTES
                or channels > _MOST_CHANNELS
                or not _LOWEST_RATE_HZ <= rate_hz <= _HIGHEST_RATE_HZ
            ):
                return None
            pcm = file.readframes(len(data))
            if len(pcm) > MAX_VALUES * _S16_BYTES:
                raise _too_many()
    except (wave.Error, EOFError, RuntimeError):  # the last where a length in the header leads out of the file
        return None
    whole = len(pcm) // (channels * _S16_BYTES) * channels
    frames_channels = np.frombuffer(pcm, "<i2", count=whole).reshape(-1, channels)  # [S * C] -> [S, C]
    return DecodedSound(_mono(frames_channels.T.astype(np.float32) * _S16_SCALE), rate_hz)


def _by_ffmpeg(data: bytes, container_format: str, chunk: AudioChunk) -> DecodedSound:
    """Decode PCM or FLAC. The container's format is given: FFmpeg's guess could be a playlist that opens files."""
    try:
        # Text in the metadata may be in any encoding, and nobody reads it here.
        with av.open(io.BytesIO(data), mode="r", format=container_format, metadata_errors="ignore") as container:
            return _first_track(container, chunk)
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise UnreadableMediaError(f"sound: expected {container_format} that decodes, got {_words(error)}") from error


def _first_track(container: av.container.InputContainer, chunk: AudioChunk) -> DecodedSound:
    if not container.streams.audio:
        raise UnreadableMediaError("sound: expected one track, got none")
    track = container.streams.audio[0]
    _check_coding(track)
    rate_hz = track.codec_context.sample_rate
    most_samples = _expected(chunk, rate_hz) * (1 + _MAX_DEVIATION) + 1
    to_float = av.AudioResampler(format="flt")
    parts: list[Samples] = []
    samples = values = 0
    for frame in container.decode(track):
        samples += frame.samples
        values += frame.samples * frame.layout.nb_channels
        if values > MAX_VALUES:
            raise _too_many()
        if samples > most_samples:  # no need to see how much more there is
            raise _contradiction(chunk, rate_hz, f"{samples} and more")
        parts += [_mono(_channels_samples(part)) for part in to_float.resample(frame)]
    return DecodedSound(np.concatenate(parts) if parts else np.empty(0, np.float32), rate_hz)


def _check_coding(track: av.AudioStream) -> None:
    context = cast("av.AudioCodecContext | None", track.codec_context)
    if context is None:  # not in the stubs: a coding it has no code for
        raise UnreadableMediaError(
            "sound: expected PCM or FLAC, got a coding that is not known", DeadReason.UNKNOWN_FORMAT
        )
    codec, channels, rate_hz = context.name, context.layout.nb_channels, context.sample_rate
    if not (codec == "flac" or codec.startswith("pcm_")):
        raise UnreadableMediaError(f"sound: expected PCM or FLAC, got {codec}", DeadReason.UNKNOWN_FORMAT)
    if not 1 <= channels <= _MOST_CHANNELS:
        message = f"sound: expected 1 to {_MOST_CHANNELS} channels, got {channels}"
        raise UnreadableMediaError(message, DeadReason.UNKNOWN_FORMAT)
    if not _LOWEST_RATE_HZ <= rate_hz <= _HIGHEST_RATE_HZ:
        message = f"sound: expected {_LOWEST_RATE_HZ} to {_HIGHEST_RATE_HZ} Hz, got {rate_hz} Hz"
        raise UnreadableMediaError(message, DeadReason.UNKNOWN_FORMAT)


def _channels_samples(frame: av.AudioFrame) -> Samples:
    """Return `[C, S]` of a packed frame. Of a planar one with eight channels or more PyAV reads foreign memory."""
    packed = cast("Samples", frame.to_ndarray())  # [1, S * C]
    return packed.reshape(-1, frame.layout.nb_channels).T  # [S, C] -> [C, S]


def _mono(channels_samples: Samples) -> Samples:
    """Return the mean of the channels, whichever way the sound came: FFmpeg's own mix of floats would be louder."""
    with np.errstate(invalid="ignore"):  # infinities of both signs: refused by whoever gets the sum
        mono = channels_samples.mean(axis=0, dtype=np.float32)  # [C, S] -> [S]
    return cast("Samples", mono)


def _in_range(sound: DecodedSound) -> DecodedSound:
    """Return the sound within [-1, 1]."""
    if not np.isfinite(sound.samples).all():
        raise UnreadableMediaError("sound: expected finite samples, got NaN or infinity")
    clipped = np.clip(sound.samples, -1, 1)
    return DecodedSound(clipped, sound.rate_hz, mended=not np.array_equal(clipped, sound.samples))


def _deviation(sound: DecodedSound, chunk: AudioChunk) -> float:
    """Return by how many samples the chunk is longer than its times; raise where they contradict one another."""
    expected = _expected(chunk, sound.rate_hz)
    came = len(sound.samples)
    if came == 0 or abs(came - expected) > _MAX_DEVIATION * expected + 1:
        raise _contradiction(chunk, sound.rate_hz, str(came))
    return came - expected


def _expected(chunk: AudioChunk, rate_hz: int) -> float:
    """Return how many samples the chunk has by its times."""
    return (chunk.end_ns - chunk.start_ns) * rate_hz / NS_PER_S


def _contradiction(chunk: AudioChunk, rate_hz: int, came: str) -> UnreadableMediaError:
    message = f"sound: expected {_expected(chunk, rate_hz):.0f} samples from its times and {rate_hz} Hz, got {came}"
    return UnreadableMediaError(message, DeadReason.WRONG_LENGTH)


def _resampled(sound: DecodedSound, rate_hz: int) -> Samples:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
    frame = av.AudioFrame.from_ndarray(sound.samples[np.newaxis], format="flt", layout="mono")  # [S] -> [1, S]
    frame.sample_rate = sound.rate_hz
    parts = [_channels_samples(part)[0] for part in (*resampler.resample(frame), *resampler.resample(None))]
    return cast("Samples", np.clip(np.concatenate(parts), -1, 1))  # a steep edge rings beyond the range


def _too_many() -> UnreadableMediaError:
    message = f"sound: expected at most {MAX_VALUES} samples in a chunk, got more"
    return UnreadableMediaError(message, DeadReason.TOO_LARGE)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
