"""A producer on files: `produce`, `produce-1080p` and `produce-mjpeg`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Final

import av

from benchmarks.frame import Benchmark, measured
from benchmarks.suite import Size
from triptych.producers.plans import SourceOptions, plans_for
from triptych.producers.session.playback import Playback

_SAMPLES: Final = Path(__file__).parents[2] / "app" / "triptych" / "samples"
_SMALL: Final = _SAMPLES / "librivox_city_15s.mkv"
_LARGE: Final = _SAMPLES / "bbb_5s_51ch.mp4"
_FPS: Final = 25


def produce_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of a clip of 320x180 with sound and subtitles."""
    return _benchmark("produce", "a clip of 320x180", _SMALL, size(3, 1))


def produce_1080p_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of H.264 in 1920x1080, made of a sample."""
    clip = _converted("libx264", "yuv420p", ".mkv", (320, 180) if size.is_small else (1920, 1080), size(100, 10))
    return _benchmark("produce-1080p", "H.264 in 1920x1080, without sound", clip, 1)


def produce_mjpeg_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of Motion JPEG, whose frames do not refer to one another."""
    clip = _converted("mjpeg", "yuvj420p", ".avi", (320, 180) if size.is_small else (1280, 720), size(130, 10))
    return _benchmark("produce-mjpeg", "Motion JPEG in 1280x720, without sound", clip, 1)


def _benchmark(name: str, what: str, clip: Path, times: int) -> Benchmark:
    seconds = _seconds(clip) * times

    def plain() -> float:
        for _ in range(times):
            _decode_everything(clip)
        return seconds

    def ours() -> float:
        for _ in range(times):
            _records(clip)
        return seconds

    return Benchmark(
        name,
        f"What does a producer take for {what}?",
        "second of media",
        {"demux and decode everything in PyAV": lambda: measured(plain), "our producer": lambda: measured(ours)},
        limit="demux and decode everything in PyAV",
        ours="our producer",
        goal=1 / 0.85,
        note="Four pictures a second, as JPEG of at most 360 lines, and sound as PCM; nothing is sent. The producer "
        "skips frames that it does not send and no other frame needs, so it can take less than the limit.",
    )


def _decode_everything(clip: Path) -> None:
    with av.open(str(clip)) as container:
        tracks = [stream for stream in container.streams if stream.type in {"video", "audio"}]
        for packet in container.demux(tracks):
            for _ in packet.decode():
                pass


def _records(clip: Path) -> None:
    [plan] = plans_for([str(clip)], SourceOptions(stream="clip"))
    with Playback(plan) as playback:
        for _ in playback.records(0):
            pass


def _seconds(clip: Path) -> float:
    with av.open(str(clip)) as container:
        return float(container.duration or 0) / av.time_base


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that is removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="triptych-produce-")


@cache
def _converted(codec: str, pixel_format: str, suffix: str, size: tuple[int, int], frames: int) -> Path:
    """Return the first frames of a sample in another codec and size."""
    path = Path(_folder().name) / f"{codec}-{size[0]}{suffix}"
    with av.open(str(path), "w") as made:
        track = made.add_stream(codec, rate=_FPS)
        assert isinstance(track, av.VideoStream)  # noqa: S101 - both codecs are of video
        (track.width, track.height), track.pix_fmt = size, pixel_format
        for number, frame in enumerate(_frames(frames)):
            scaled = frame.reformat(width=size[0], height=size[1], format=pixel_format)
            scaled.pts, scaled.time_base = number, Fraction(1, _FPS)
            made.mux(track.encode(scaled))
        made.mux(track.encode(None))
    return path


def _frames(count: int) -> Iterator[av.VideoFrame]:
    with av.open(str(_LARGE)) as sample:
        for number, frame in enumerate(sample.decode(video=0)):
            if number == count:
                return
            yield frame
