"""JPEG encoding: sizes, rotation, and files that decode."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.producers.media.jpeg import JpegEncoder, display_size

lengths = st.integers(2, 8_000)


@given(lengths, lengths, st.fractions(Fraction(1, 4), 4, max_denominator=100), st.integers(16, 4_000))
def test_sizes_are_even_bounded_and_keep_the_aspect_ratio(
    width: int, height: int, aspect: Fraction, limit: int
) -> None:
    """The result is never larger than the frame."""
    shown_width, shown_height = display_size(width, height, pixel_aspect=aspect, max_height=limit)

    assert shown_width % 2 == shown_height % 2 == 0
    assert 2 <= shown_height <= min(height, limit)
    assert abs(shown_width - max(2, width * aspect * min(1, Fraction(limit, height)))) <= 2


@pytest.mark.parametrize(
    ("size", "expected"), [((1920, 1080), (640, 360)), ((401, 171), (400, 170)), ((320, 180), (320, 180))]
)
def test_a_jpeg_opens_and_shows_the_frame(size: tuple[int, int], expected: tuple[int, int]) -> None:
    """Also for a frame of odd size."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, : size[0] // 2] = (255, 0, 0)
    encoder = JpegEncoder(max_height=360, quality=85)

    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
    jpeg, width, height = encoder.encode(frame, Fraction(1))

    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert (width, height) == expected == (shown.shape[1], shown.shape[0])
    assert shown[height // 2, width // 4, 0] > 230
    assert shown[height // 2, width * 3 // 4, 0] < 25


def test_non_square_pixels_are_corrected() -> None:
    """A DVD's 720 by 576 is displayed as 16:9."""
    assert display_size(720, 576, pixel_aspect=Fraction(64, 45), max_height=360) == (640, 360)
