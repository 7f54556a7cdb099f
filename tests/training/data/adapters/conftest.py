"""Data sets of a few files in their authors' layout."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np
import pytest

Lay = Callable[..., None]


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small valid media file of each kind, and one broken file."""
    folder = tmp_path_factory.mktemp("media")
    noise = np.random.default_rng(0)
    for name, codec in (("clip.mp4", "mpeg4"), ("clip.flv", "flv1"), ("clip.mkv", "mpeg4")):
        with av.open(str(folder / name), "w") as container:
            pictures = container.add_stream(codec, rate=10)
            pictures.width, pictures.height, pictures.pix_fmt = 32, 32, "yuv420p"
            sound = container.add_stream("aac", rate=44_100, layout="mono")
            for number in range(10):
                frame = av.VideoFrame.from_ndarray(noise.integers(0, 256, (32, 32, 3), np.uint8), format="rgb24")
                frame.pts = number
                container.mux(pictures.encode(frame))
            samples = av.AudioFrame.from_ndarray(
                noise.normal(0, 0.1, (1, 44_100)).astype(np.float32), format="fltp", layout="mono"
            )
            samples.sample_rate = 44_100
            container.mux(sound.encode(samples))
            container.mux(pictures.encode(None))
            container.mux(sound.encode(None))
    with av.open(str(folder / "clip.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.ones((1, 16_000), np.int16), format="s16", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
    for name in ("clip.jpg", "clip.jpeg", "clip.png"):
        _write_picture(folder / name, noise)
    (folder / "broken").write_bytes(b"no film")
    return folder


def _write_picture(file: Path, noise: np.random.Generator) -> None:
    import cv2

    cv2.imwrite(str(file), noise.integers(0, 256, (40, 30, 3), np.uint8))


@pytest.fixture
def lay(media: Path, tmp_path: Path) -> Lay:
    """Copy media files into the data set's folder by suffix; `broken` ones get the broken file."""

    def lay_files(names: Iterable[str], *, broken: Iterable[str] = ()) -> None:
        for name in (*names, *broken):
            target = tmp_path / "root" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(media / ("broken" if name in broken else f"clip{target.suffix}"), target)

    return lay_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the data set."""
    folder = tmp_path / "root"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def to(tmp_path: Path) -> Path:
    """The folder of the manifest, beside the data set."""
    return tmp_path / "manifest"
