"""Decode one picture to RGB of the size that a model takes; a large one is never decoded in full."""

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
"""Larger pictures are refused unseen: 8K has half as many pixels, and each costs six bytes in each thread (measured,
JPEG, PNG and WebP alike, but for a JPEG that is reduced while it is decoded)."""

MAX_SCANS: Final = 100
"""Of a progressive JPEG, which usually has ten: each goes over the whole picture, and can be a few bytes long."""

_SCAN: Final = b"\xff\xda"  # in what is coded, 0xff is followed by other bytes
_BGR: Final = cv2.IMREAD_COLOR  # set in the constants of reduced decoding, where it contradicts RGB
_REDUCED: Final = (
    (8, cv2.IMREAD_REDUCED_COLOR_8 & ~_BGR),
    (4, cv2.IMREAD_REDUCED_COLOR_4 & ~_BGR),
    (2, cv2.IMREAD_REDUCED_COLOR_2 & ~_BGR),
)


def decode_picture(data: bytes, spec: InputSpec) -> NDArray[np.uint8]:
    """Return the picture as RGB `[spec.height, spec.width, 3]`; raise `UnreadableMediaError` where it is broken."""
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
    # The stubs know nothing of it, but bytes that do not decode give None.
    if cast("NDArray[np.uint8] | None", rgb) is None:
        raise UnreadableMediaError(
            f"picture: expected a {size.format} that decodes, got {len(data)} bytes that are broken or cut short"
        )
    return resize_image(cast("NDArray[np.uint8]", rgb), spec)


def quiet_opencv() -> None:
    """Stop OpenCV from writing to stderr, between the lines of the log, what `decode_picture` raises anyway."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _reduction(size: PictureSize, spec: InputSpec) -> int:
    """Return the flag that leaves out as much detail as the model's size leaves out in any case.

    Only JPEG saves work by it; of the others OpenCV decodes everything and then drops pixels without smoothing.
    """
    if size.format != "jpeg":
        return 0
    for factor, flag in _REDUCED:
        if min(size.width // spec.width, size.height // spec.height) >= factor:
            return flag
    return 0
