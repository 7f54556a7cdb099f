"""The sound of a window as one WAV file, and its outline. Libraries decode what is not WAV."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from typing import Final

import av
import numpy as np

from triptych.consumers.evidence.files import joined_audio
from triptych.schemas.records import AudioChunk
from triptych.schemas.results import Result

WAVEFORM_PARTS: Final = 400
_BYTES_PER_SAMPLE: Final = 2
_MOST_SAMPLES: Final = 48_000 * 60


def window_sound(chunks: Sequence[AudioChunk], result: Result) -> bytes | None:
    """Return the window's audio as one WAV file; None if there is none, or it cannot be joined.

    A chunk that cannot be decoded is left out: it came from the network, and must not silence those beside it.
    """
    decoded = [wav for wav in map(_as_wav, chunks) if wav is not None]
    return joined_audio(decoded, result) if decoded else None


def waveform(wav: bytes) -> tuple[float, ...]:
    """Return the highest absolute sample of each of up to 400 equal parts, from 0 to 1. Only 16-bit WAV has one."""
    with wave.open(io.BytesIO(wav)) as file:
        if file.getsampwidth() != _BYTES_PER_SAMPLE:
            return ()
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")  # [frames * channels]
        samples = samples.reshape(-1, file.getnchannels())  # [frames, channels]
    if not len(samples):
        return ()
    peaks = np.abs(samples.astype(np.int32)).max(axis=1)  # [frames]
    parts = np.array_split(peaks, min(WAVEFORM_PARTS, len(peaks)))
    return tuple(round(float(part.max()) / 32_768, 4) for part in parts)


def _as_wav(chunk: AudioChunk) -> AudioChunk | None:
    """Return a chunk as WAV: unchanged if it is WAV already, else with 16 bits; None if it cannot be decoded."""
    try:
        if chunk.content_type == "audio/wav":
            wave.open(io.BytesIO(chunk.data)).close()  # reads its header
            return chunk
        decoded = _decoded(chunk.data)
    except (av.FFmpegError, ValueError, OverflowError, IndexError, RuntimeError, wave.Error, EOFError):
        return None
    return chunk.model_copy(update={"data": decoded, "content_type": "audio/wav"})


def _decoded(data: bytes) -> bytes:
    """Return FLAC as 16-bit WAV with its own rate and channels. Raises `ValueError` if it is too long.

    The container format is fixed: FFmpeg could otherwise detect a playlist that opens files and addresses.
    """
    out = io.BytesIO()
    with (
        # Metadata text may be in any encoding; it is not used here.
        av.open(io.BytesIO(data), mode="r", format="flac", metadata_errors="ignore") as container,
        wave.open(out, "wb") as file,
    ):
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="s16")
        file.setnchannels(stream.codec_context.channels)
        file.setsampwidth(_BYTES_PER_SAMPLE)
        file.setframerate(stream.codec_context.sample_rate)
        written = 0
        for frame in container.decode(stream):
            for part in resampler.resample(frame):
                written += part.samples
                if written > _MOST_SAMPLES:
                    raise ValueError("the chunk is longer than a minute")
                file.writeframes(part.to_ndarray().tobytes())
    return out.getvalue()
