"""Decodes a picture to RGB for a model or a detector. Large JPEGs are reduced while they are decoded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.models.model import InputSpec
from triptych.models.resize import resize_image
from triptych.models.window import DetectionPicture
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
_FLAG_OF: Final = {
    1: 0,
    2: cv2.IMREAD_REDUCED_COLOR_2 & ~_BGR,
    4: cv2.IMREAD_REDUCED_COLOR_4 & ~_BGR,
    8: cv2.IMREAD_REDUCED_COLOR_8 & ~_BGR,
}
"""OpenCV's flag for decoding at 1/2, 1/4 or 1/8 of the size."""


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """A decoded picture, which may be reduced.

    Attributes:
        rgb_hwc_u8: RGB uint8 [ceil(height / reduction), ceil(width / reduction), 3], upright.
        width: width of the upright picture as it was sent, in pixels.
        height: its height.
        reduction: 1, 2, 4 or 8.
        may_reduce: whether the format is reduced for a model that needs fewer pixels.
    """

    rgb_hwc_u8: NDArray[np.uint8]
    width: int
    height: int
    reduction: int
    may_reduce: bool

    def for_model(self, spec: InputSpec) -> NDArray[np.uint8]:
        """Return the picture at the input size of a model, uint8 [spec.height, spec.width, 3].

        A picture that was decoded larger than the model needs is reduced first by averaging, as decoding would have.
        """
        needed = _reduction(self.width, self.height, spec) if self.may_reduce else 1
        rgb = self.rgb_hwc_u8
        if needed > self.reduction:
            size = -(-self.width // needed), -(-self.height // needed)
            rgb = cast("NDArray[np.uint8]", cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
        return resize_image(rgb, spec)

    def for_detector(self, max_side: int, time_ns: int) -> DetectionPicture:
        """Return the picture for detectors: in its own proportions, its longer side at most `max_side`."""
        rgb = self.rgb_hwc_u8
        height, width = rgb.shape[:2]
        longer = max(height, width)
        if longer > max_side:
            size = max(1, round(width * max_side / longer)), max(1, round(height * max_side / longer))
            rgb = cast("NDArray[np.uint8]", cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
        return DetectionPicture(rgb, time_ns=time_ns, width=self.width, height=self.height)


def decode_picture(data: bytes, spec: InputSpec) -> NDArray[np.uint8]:
    """Return the picture as RGB: uint8 `[spec.height, spec.width, 3]`. Thread-safe.

    Raises:
        UnreadableMediaError: if it cannot be decoded or is too large.
    """
    decoded = _decode(data, lambda size: _reduction(size.width, size.height, spec))
    return resize_image(decoded.rgb_hwc_u8, spec)


def decode_for_detector(data: bytes, max_side: int) -> DecodedPicture:
    """Return the picture at a size from which both a detector and a model can be served. Thread-safe.

    Its longer side is at least `max_side`, unless the picture is smaller.

    Raises:
        UnreadableMediaError: if it cannot be decoded or is too large.
    """
    return _decode(data, lambda size: _largest_reduction(max(size.width, size.height) // max_side))


def _decode(data: bytes, reduction_of: Callable[[PictureSize], int]) -> DecodedPicture:
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
    # Only JPEG decodes faster this way. OpenCV decodes the other formats in full and drops pixels without smoothing.
    may_reduce = size.format == "jpeg"
    reduction = reduction_of(size) if may_reduce else 1
    try:
        decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | _FLAG_OF[reduction])
    except cv2.error as error:
        raise UnreadableMediaError(f"picture: expected a {size.format} that decodes, got {error.err}") from error
    # OpenCV returns None for data that it cannot decode, although its stubs do not say so.
    if cast("NDArray[np.uint8] | None", decoded) is None:
        raise UnreadableMediaError(
            f"picture: expected a {size.format} that decodes, got {len(data)} bytes that are broken or cut short"
        )
    rgb = cast("NDArray[np.uint8]", decoded)
    width, height = size.width, size.height
    # OpenCV turns pictures upright, as their EXIF orientation says; the header has the size before that.
    if height != width and rgb.shape[:2] == (-(-width // reduction), -(-height // reduction)):
        width, height = height, width
    return DecodedPicture(rgb, width=width, height=height, reduction=reduction, may_reduce=may_reduce)


def quiet_opencv() -> None:
    """Stop OpenCV from writing decoding errors to stderr: `decode_picture` raises them."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def _reduction(width: int, height: int, spec: InputSpec) -> int:
    """Return by how much a picture may be reduced so that it is at least as large as the model's input."""
    return _largest_reduction(min(width // spec.width, height // spec.height))


def _largest_reduction(factor: int) -> int:
    """Return the largest reduction that does not exceed `factor`; 1 if all do."""
    return max((each for each in _FLAG_OF if each <= factor), default=1)
