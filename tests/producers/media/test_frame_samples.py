"""Audio frames of any number of channels: their samples, and copies with other samples."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from triptych.producers.media.frame_samples import samples_of, with_samples
from triptych.schemas.records import AudioChunk, InputRecord

_RATE_HZ = 16_000


def frame_of(samples: NDArray[np.generic], format_name: str, layout: str) -> av.AudioFrame:
    """Return a frame with these samples, [channels, N]."""
    empty = av.AudioFrame(format=format_name, layout=layout, samples=1)
    empty.sample_rate, empty.pts, empty.time_base = _RATE_HZ, 7, Fraction(1, _RATE_HZ)
    return with_samples(empty, samples)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "6.1", "7.1", "hexadecagonal"])
@pytest.mark.parametrize(("format_name", "dtype"), [("fltp", "f4"), ("s16p", "i2"), ("s16", "i2"), ("s32p", "i4")])
def test_each_channel_keeps_its_samples(layout: str, format_name: str, dtype: str) -> None:
    """With eight planes or more as with fewer."""
    channels = av.AudioLayout(layout).nb_channels
    samples = np.arange(channels * 100).reshape(channels, 100).astype(dtype)

    frame = frame_of(samples, format_name, layout)

    assert (frame.samples, frame.layout.name, frame.format.name) == (100, layout, format_name)
    assert (frame.sample_rate, frame.pts, frame.time_base) == (_RATE_HZ, 7, Fraction(1, _RATE_HZ))
    np.testing.assert_array_equal(samples_of(frame), samples)


def test_a_film_with_eight_channels_is_heard(tmp_path: Path, play: Callable[..., list[InputRecord]]) -> None:
    """AAC has one plane for each of them."""
    tone = (0.3 * np.sin(np.arange(_RATE_HZ) / 10)).astype(np.float32)
    film = tmp_path / "film.mp4"
    with av.open(str(film), "w") as container:
        track = container.add_stream("aac", rate=_RATE_HZ, layout="7.1")
        for at in range(0, len(tone), 1024):
            frame = frame_of(np.tile(tone[at : at + 1024], (8, 1)), "fltp", "7.1")
            frame.pts = at
            container.mux(track.encode(frame))
        container.mux(track.encode(None))

    chunks = [record for record in play(film) if isinstance(record, AudioChunk)]

    assert chunks[-1].end_ns == 1_000_000_000
    heard = np.concatenate(
        [np.frombuffer(chunk.data[-2 * (chunk.end_ns - chunk.start_ns) // 62_500 :], "<i2") for chunk in chunks]
    )
    assert float(np.abs(heard.astype(float)).mean()) > 0.05 * 32_768
