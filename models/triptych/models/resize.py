"""Resize frames to the input size of a model."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.models.model import InputSpec


def resize_image(rgb: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """Resize an RGB image uint8 [H0, W0, 3] to the model's input size, uint8 [H, W, 3].

    The aspect ratio is not kept: the whole image is used, because what happens at its edges matters too.
    """
    if rgb.shape[:2] == (spec.height, spec.width):
        return rgb
    return cast("NDArray[np.uint8]", cv2.resize(rgb, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR))
