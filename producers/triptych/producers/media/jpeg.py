"""Encode a decoded frame as JPEG: upright, scaled down, with square pixels and even sizes."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Final

import av
import cv2
from av.video.reformatter import Interpolation, VideoReformatter

_ROTATIONS: Final = {1: cv2.ROTATE_90_COUNTERCLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_CLOCKWISE}
_QUARTER_TURN_DEGREES: Final = 90


@lru_cache(maxsize=64)
def display_size(width: int, height: int, *, pixel_aspect: Fraction, max_height: int) -> tuple[int, int]:
    """Return the width and height of a frame with square pixels. Both are even, and no larger than the frame.

    Args:
        width: of the frame as stored, in pixels.
        height: of the frame as stored, in pixels.
        pixel_aspect: the width of a stored pixel divided by its height.
        max_height: the maximum height to return.
    """
    display_width = width * pixel_aspect
    scale = min(Fraction(1), Fraction(max_height, height))
    return _even(display_width * scale), _even(height * scale)


def _even(length: Fraction) -> int:
    return max(2, int(length) // 2 * 2)


class JpegEncoder:
    """Encode frames as JPEG. Keeps the scaler between frames."""

    def __init__(self, *, max_height: int, quality: int) -> None:
        self._max_height = max_height
        self._quality = quality
        self._reformatter = VideoReformatter()

    def encode(self, frame: av.VideoFrame, pixel_aspect: Fraction) -> tuple[bytes, int, int]:
        """Return the JPEG file, its width and its height. A pixel is `pixel_aspect` times as wide as high."""
        turns = round(frame.rotation / _QUARTER_TURN_DEGREES) % 4
        width, height = _size_before_rotation(frame, turns, pixel_aspect, self._max_height)
        # One thread: for a single picture, waking others takes longer than scaling it. The pixels are the same.
        reformatted = self._reformatter.reformat(
            frame, width=width, height=height, format="bgr24", interpolation=Interpolation.AREA, threads=1
        )
        scaled = reformatted.to_ndarray()
        pixels = cv2.rotate(scaled, _ROTATIONS[turns]) if turns else scaled
        _, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        return jpeg.tobytes(), pixels.shape[1], pixels.shape[0]


def _size_before_rotation(frame: av.VideoFrame, turns: int, pixel_aspect: Fraction, max_height: int) -> tuple[int, int]:
    if turns % 2 == 0:
        return display_size(frame.width, frame.height, pixel_aspect=pixel_aspect, max_height=max_height)
    height, width = display_size(frame.height, frame.width, pixel_aspect=1 / pixel_aspect, max_height=max_height)
    return width, height
