"""Make a picture the size that a model wants."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.models.model import InputSpec


def fit_picture(rgb: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """Squeeze an RGB picture of any size into the model's, the whole of it: what happens at its edges counts too."""
    if rgb.shape[:2] == (spec.height, spec.width):
        return rgb
    return cast("NDArray[np.uint8]", cv2.resize(rgb, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR))
