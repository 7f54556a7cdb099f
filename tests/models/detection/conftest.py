"""Fixtures for the tests of the detectors: photographs, and outputs of the original networks for two of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triptych.models.detection.default_detector import build_default_detector
from triptych.models.detection.detector import Detector
from triptych.models.window import DetectionPicture

PICTURES = Path(__file__).parents[2] / "data" / "pictures"


@pytest.fixture(scope="session")
def photo() -> Callable[[str], NDArray[np.uint8]]:
    """Return a function that reads a photograph of `tests/data/pictures` as RGB, uint8 [H, W, 3]."""

    def read(name: str) -> NDArray[np.uint8]:
        bgr = cv2.imread(str(PICTURES / f"{name}.jpg"))
        assert bgr is not None
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)

    return read


@pytest.fixture(scope="session")
def original_outputs() -> Mapping[str, NDArray[np.float32]]:
    """Return outputs of the original networks (tests/data/pictures/CREDITS.md)."""
    with np.load(PICTURES / "detector_outputs.npz") as stored:
        return dict(stored)


@pytest.fixture(scope="session")
def detector() -> Detector:
    """Return the default detector on the CPU."""
    return build_default_detector(torch.device("cpu"))


@pytest.fixture(scope="session")
def seen() -> Callable[..., DetectionPicture]:
    """Return a function that makes a picture for detectors, as it was sent or of another size."""

    def make(
        rgb: NDArray[np.uint8], *, time_ns: int = 0, sent_width: int | None = None, sent_height: int | None = None
    ) -> DetectionPicture:
        return DetectionPicture(rgb, time_ns, sent_width or rgb.shape[1], sent_height or rgb.shape[0])

    return make
