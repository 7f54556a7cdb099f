"""Pictures and sound of the sample clips, as records carry them."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import Final

import av
import numpy as np
from av.audio.resampler import AudioResampler

CLIPS: Final = ("bbb_5s_51ch.mp4", "librivox_city_15s.mkv", "sintel_608_10s.ts")
RATE_HZ: Final = 8_000
_DARK: Final = 20.0
SECOND_SAMPLES: Final = RATE_HZ


@dataclass(frozen=True, slots=True)
class ClipPicture:
    """One picture as JPEG, and its size in pixels."""

    data: bytes
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ClipMedia:
    """Pictures of a clip, two a second but dark ones; its sound as WAV files of a second, 8 kHz, one channel."""

    pictures: tuple[ClipPicture, ...]
    seconds: tuple[bytes, ...]


@cache
def clip_media(name: str, width: int) -> ClipMedia:
    """Decode a sample clip; its pictures are reduced to `width` pixels. Blocks for about a second, the first time."""
    with as_file(files("triptych.samples").joinpath(name)) as path:
        with av.open(str(path)) as container:
            pictures = tuple(_pictures(container, width))
        with av.open(str(path)) as container:
            seconds = tuple(_seconds(container))
    return ClipMedia(pictures, seconds)


def _pictures(container: av.container.InputContainer, width: int) -> Iterator[ClipPicture]:
    next_s = 0.0
    for frame in container.decode(video=0):
        at_s = frame.time or 0.0
        if at_s < next_s:
            continue
        next_s = max(next_s, at_s) + 0.5
        if np.mean(frame.to_ndarray(format="gray")) < _DARK:
            continue  # a film fades in from black, which shows nothing
        height = round(frame.height * width / frame.width / 2) * 2
        out = io.BytesIO()
        frame.to_image().resize((width, height)).save(out, "JPEG", quality=78)
        yield ClipPicture(out.getvalue(), width, height)


def _seconds(container: av.container.InputContainer) -> Iterator[bytes]:
    resampler = AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    if not container.streams.audio:
        return
    parts = [
        resampled.to_ndarray()[0] for frame in container.decode(audio=0) for resampled in resampler.resample(frame)
    ]
    samples = np.concatenate(parts) if parts else np.zeros(0, np.int16)
    for first in range(0, len(samples) - SECOND_SAMPLES + 1, SECOND_SAMPLES):
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(samples[first : first + SECOND_SAMPLES].tobytes())
        yield out.getvalue()
