"""Decodes a picture to RGB at the input size of a model. Large JPEGs are reduced while they are decoded."""

from __future__ import annotations

from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.models.model import InputSpec
from triptych.models.resize import resize_image
from triptych.schemas.reasons import DeadReason
from triptych.worker.media.errors import UnreadableMediaError
from triptych.worker.media.picture_size import PictureSize, picture_size
from triptych.worker.media.png import bare_png

MAX_PIXELS: Final = 64 * 1024 * 1024
"""Larger pictures are dead-lettered without decoding. 8K has half as many pixels.

Each pixel costs six bytes in each thread (measured for JPEG, PNG and WebP; less for a JPEG reduced while decoded).
"""

MAX_SCANS: Final = 100
"""The limit for progressive JPEGs, which usually have ten. A scan of a few bytes can cost a pass over all pixels."""

_SCAN: Final = b"\xff\xda"  # entropy-coded data never has 0xff followed by this byte
_BGR: Final = cv2.IMREAD_COLOR  # part of the constants for reduced decoding, where it conflicts with RGB
_REDUCED: Final = (
    (8, cv2.IMREAD_REDUCED_COLOR_8 & ~_BGR),
    (4, cv2.IMREAD_REDUCED_COLOR_4 & ~_BGR),
    (2, cv2.IMREAD_REDUCED_COLOR_2 & ~_BGR),
)


def decode_picture(data: bytes, spec: InputSpec) -> NDArray[np.uint8]:
    """Return the picture as RGB: uint8 `[spec.height, spec.width, 3]`. Thread-safe.

    Raises:
        UnreadableMediaError: if it cannot be decoded or is too large.
    """
    size = picture_size(data)
    if size.width * size.height > MAX_PIXELS:
        raise UnreadableMediaError(
            f"picture: expected at most {MAX_PIXELS} pixels, got {size.width}x{size.height}", DeadReason.TOO_LARGE
        )
    if size.format == "png":
        data = bare_png(data)
    elif size.format == "jpeg" and data.count(_SCAN) > MAX_SCANS:
        raise UnreadableMediaError(
            f"picture: expected at most {MAX_SCANS} scans, got {data.count(_SCAN)}", DeadReason.TOO_LARGE
        )
    try:
        rgb = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | _reduction(size, spec))
    except cv2.error as error:
        raise UnreadableMediaError(f"picture: expected a {size.format} that decodes, got {error.err}") from error
    # OpenCV returns None for data that it cannot decode, although its stubs do not say so.
    if cast("NDArray[np.uint8] | None", rgb) is None:
        raise UnreadableMediaError(
            f"picture: expected a {size.format} that decodes, got {len(data)} bytes that are broken or cut short"
        )
    return resize_image(cast("NDArray[np.uint8]", rgb), spec)


def quiet_opencv() -> None:
    """Stop OpenCV from writing decoding errors to stderr: `decode_picture` raises them."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _reduction(size: PictureSize, spec: InputSpec) -> int:
    """Return OpenCV's flag for decoding at 1/2, 1/4 or 1/8 of the size, if that is at least the model's input size.

    Only JPEG decodes faster this way. OpenCV decodes the other formats in full and drops pixels without smoothing.
    """
    if size.format != "jpeg":
        return 0
    for factor, flag in _REDUCED:
        if min(size.width // spec.width, size.height // spec.height) >= factor:
            return flag
    return 0
