"""Films made for the tests: every picture and every sample is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.resources import files
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from triptych.producers.session.playback import Playback
from triptych.producers.sources.playback_plan import PlaybackPlan
from triptych.producers.sources.source import FileSource
from triptych.schemas.records import InputRecord

Samples = NDArray[np.int16]
_ONE_KEY_FRAME = {"g": "300", "sc_threshold": "1000000000"}


@dataclass(frozen=True)
class Film:
    """What a film is to hold.

    Attributes:
        frame_ms: when each picture is shown.
        size: of the pictures.
        video_codec: None for no picture.
        samples: of the sound, 16-bit, `[channels, count]`; None for no sound.
        rate: of the sound.
        sound_at_ms: when each block of sound begins; blocks are of equal length.
    """

    frame_ms: Sequence[int] = tuple(range(0, 2000, 40))
    size: tuple[int, int] = (64, 48)
    video_codec: str | None = "mpeg4"
    audio_codec: str = "pcm_s16le"
    samples: Samples | None = None
    rate: int = 16_000
    sound_at_ms: Sequence[int] = (0,)


def write_film(path: Path, film: Film) -> Path:
    """Write the film; the file's ending chooses the container."""
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        packets: list[av.Packet] = []
        video = audio = None
        if film.video_codec is not None:
            video = container.add_stream(film.video_codec, rate=25, options=_ONE_KEY_FRAME)
            video.width, video.height = film.size
            video.pix_fmt = "yuv420p"
            video.codec_context.time_base = Fraction(1, 1000)
        if film.samples is not None:
            layout = "mono" if len(film.samples) == 1 else "stereo"
            audio = container.add_stream(film.audio_codec, rate=film.rate, layout=layout)
        if video is not None:
            packets += _pictures(video, film)
        if audio is not None:
            packets += _sound(audio, film)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _pictures(stream: av.VideoStream, film: Film) -> Iterable[av.Packet]:
    for number, moment_ms in enumerate(film.frame_ms):
        pixels = np.full((film.size[1], film.size[0], 3), 5 * number % 250, np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = moment_ms, Fraction(1, 1000)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _sound(stream: av.AudioStream, film: Film) -> Iterable[av.Packet]:
    assert film.samples is not None
    for start_ms, block in zip(film.sound_at_ms, np.split(film.samples, len(film.sound_at_ms), axis=1), strict=True):
        step = stream.codec_context.frame_size or 320
        for offset in range(0, block.shape[1], step):
            piece = np.ascontiguousarray(block[:, offset : offset + step])
            packed = piece.T.reshape(1, -1) if stream.codec_context.format.name == "s16" else piece / np.float32(32_768)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(packed), format=stream.codec_context.format.name, layout=stream.layout.name
            )
            frame.sample_rate = film.rate
            frame.pts, frame.time_base = start_ms * film.rate // 1000 + offset, Fraction(1, film.rate)
            yield from stream.encode(frame)
    yield from stream.encode(None)


@pytest.fixture
def make_film(tmp_path: Path) -> Callable[..., Path]:
    """Write a film under a name, from the fields of `Film`."""

    def make(name: str = "film.mkv", **fields: Any) -> Path:  # noqa: ANN401 - whatever `Film` has
        return write_film(tmp_path / name, Film(**fields))

    return make


@pytest.fixture
def plan_of() -> Callable[..., PlaybackPlan]:
    """Make the plan of a film, from the fields of `PlaybackPlan`."""

    def make(path: Path, **options: Any) -> PlaybackPlan:  # noqa: ANN401 - whatever `PlaybackPlan` has
        return PlaybackPlan(**{"source": FileSource(path), "stream": "film", **options})

    return make


@pytest.fixture
def play(plan_of: Callable[..., PlaybackPlan]) -> Callable[..., list[InputRecord]]:
    """Return all records of a film, the ends included, in session time."""

    def make(path: Path, **options: Any) -> list[InputRecord]:  # noqa: ANN401 - whatever `PlaybackPlan` has
        with Playback(plan_of(path, **options)) as playback:
            return [*playback.records(0), *playback.ends()]

    return make


@pytest.fixture
def sample() -> Callable[[str], Path]:
    """Find one of the sample clips."""
    return lambda name: Path(str(files("triptych.samples").joinpath(name)))
