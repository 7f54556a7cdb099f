"""Media files made for the tests, in which every frame and every sample is known."""

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
_NO_SCENE_CUTS = {"sc_threshold": "1000000000"}


@dataclass(frozen=True)
class MediaSpec:
    """The content of a media file.

    Attributes:
        frame_ms: the presentation time of each frame.
        size: width and height of the frames.
        video_codec: None for no video.
        key_every: the number of frames from one key frame to the next.
        audio_codec: of the audio.
        samples: int16 [channels, N]; None for no audio.
        rate: the sample rate of the audio.
        sound_at_ms: the start time of each block of audio; blocks are of equal length.
    """

    frame_ms: Sequence[int] = tuple(range(0, 2000, 40))
    size: tuple[int, int] = (64, 48)
    video_codec: str | None = "mpeg4"
    key_every: int = 300
    audio_codec: str = "pcm_s16le"
    samples: Samples | None = None
    rate: int = 16_000
    sound_at_ms: Sequence[int] = (0,)


def write_media(path: Path, media: MediaSpec) -> Path:
    """Write a media file; its extension selects the container."""
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as container:
        packets: list[av.Packet] = []
        video = audio = None
        if media.video_codec is not None:
            options = _NO_SCENE_CUTS | {"g": str(media.key_every)}
            video = container.add_stream(media.video_codec, rate=25, options=options)
            video.width, video.height = media.size
            video.pix_fmt = "yuv420p"
            video.codec_context.time_base = Fraction(1, 1000)
        if media.samples is not None:
            layout = "mono" if len(media.samples) == 1 else "stereo"
            audio = container.add_stream(media.audio_codec, rate=media.rate, layout=layout)
        if video is not None:
            packets += _video_packets(video, media)
        if audio is not None:
            packets += _audio_packets(audio, media)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def _video_packets(stream: av.VideoStream, media: MediaSpec) -> Iterable[av.Packet]:
    for number, moment_ms in enumerate(media.frame_ms):
        pixels = np.full((media.size[1], media.size[0], 3), 5 * number % 250, np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = moment_ms, Fraction(1, 1000)
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _audio_packets(stream: av.AudioStream, media: MediaSpec) -> Iterable[av.Packet]:
    assert media.samples is not None
    for start_ms, block in zip(media.sound_at_ms, np.split(media.samples, len(media.sound_at_ms), axis=1), strict=True):
        step = stream.codec_context.frame_size or 320
        for offset in range(0, block.shape[1], step):
            piece = np.ascontiguousarray(block[:, offset : offset + step])
            packed = piece.T.reshape(1, -1) if stream.codec_context.format.name == "s16" else piece / np.float32(32_768)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(packed), format=stream.codec_context.format.name, layout=stream.layout.name
            )
            frame.sample_rate = media.rate
            frame.pts, frame.time_base = start_ms * media.rate // 1000 + offset, Fraction(1, media.rate)
            yield from stream.encode(frame)
    yield from stream.encode(None)


@pytest.fixture
def make_media(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a media file from a name and the fields of `MediaSpec`."""

    def make(name: str = "film.mkv", **fields: Any) -> Path:  # noqa: ANN401 - whatever `MediaSpec` has
        return write_media(tmp_path / name, MediaSpec(**fields))

    return make


@pytest.fixture
def plan_of() -> Callable[..., PlaybackPlan]:
    """Return a function that makes the plan of a file, from the fields of `PlaybackPlan`."""

    def make(path: Path, **options: Any) -> PlaybackPlan:  # noqa: ANN401 - whatever `PlaybackPlan` has
        return PlaybackPlan(**{"source": FileSource(path), "stream": "film", **options})

    return make


@pytest.fixture
def play(plan_of: Callable[..., PlaybackPlan]) -> Callable[..., list[InputRecord]]:
    """Return a function that yields all records of a file, the ends included, in session time."""

    def make(path: Path, **options: Any) -> list[InputRecord]:  # noqa: ANN401 - whatever `PlaybackPlan` has
        with Playback(plan_of(path, **options)) as playback:
            return [*playback.records(0), *playback.ends()]

    return make


@pytest.fixture
def sample() -> Callable[[str], Path]:
    """Return a function that finds a sample clip."""
    return lambda name: Path(str(files("triptych.samples").joinpath(name)))
