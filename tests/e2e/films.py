"""Small films for complete runs: changing images, a beep in each second, a cue in every third second."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FPS = 8
RATE_HZ = 16_000
WIDTH, HEIGHT = 96, 54
CUE_EVERY_S = 3


def write_film(path: Path, *, seconds: int, tone_hz: int, noise_size: tuple[int, int] | None = None) -> Path:
    """Write the film, and its cues to a file next to it. Pictures are plain, or noise of a size, large as JPEG."""
    with av.open(str(path), "w") as film:
        video = film.add_stream("mpeg4", rate=FPS)
        (video.width, video.height), video.pix_fmt = noise_size or (WIDTH, HEIGHT), "yuv420p"
        if noise_size is not None:
            video.bit_rate = 20_000_000
        audio = film.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono")
        for second in range(seconds):
            for picture in _pictures(second, noise_size):
                film.mux(video.encode(picture))
            film.mux(audio.encode(_beep(second, tone_hz)))
        film.mux([*video.encode(None), *audio.encode(None)])
    cues = [
        f"{number}\n00:00:{start:02},250 --> 00:00:{start + 1:02},750\nCue {number} of {path.stem}\n"
        for number, start in enumerate(range(0, seconds - 2, CUE_EVERY_S), start=1)
    ]
    path.with_suffix(".srt").write_text("\n".join(cues))
    return path


def _pictures(second: int, noise_size: tuple[int, int] | None) -> Iterator[av.VideoFrame]:
    for number in range(second * FPS, (second + 1) * FPS):
        if noise_size is None:
            pixels = np.full((HEIGHT, WIDTH, 3), 7 * number % 256, np.uint8)
        else:
            width, height = noise_size
            pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        yield frame


def _beep(second: int, tone_hz: int) -> av.AudioFrame:
    moments_s = np.arange(RATE_HZ) / RATE_HZ
    samples = np.where(moments_s < 0.5, 8_000 * np.sin(2 * np.pi * tone_hz * moments_s), 0)
    frame = av.AudioFrame.from_ndarray(samples.astype(np.int16)[np.newaxis], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, second * RATE_HZ, Fraction(1, RATE_HZ)
    return frame
