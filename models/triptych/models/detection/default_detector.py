"""The default detector: objects of 23 kinds and faces. Both networks are part of the package."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.models.detection.boxes import FoundBox
from triptych.models.detection.detector import Detector
from triptych.models.detection.face_finder import FACE_INPUT_SIDE, FaceFinder
from triptych.models.detection.object_finder import ObjectFinder
from triptych.models.detection.persons import CERTAIN_PERSON_THRESHOLD, FACE, drop_doubtful_persons
from triptych.models.detection.ssd import INPUT_PIXELS, LABELS
from triptych.models.network.parts import Accelerate
from triptych.models.prediction import PredictedDetection
from triptych.models.window import DetectionPicture

DEFAULT_LABELS: Final = (*LABELS, FACE)
"""All labels of the default detector."""
_CPU_BATCH: Final = 1
_GPU_BATCH: Final = 16


class _Finder(Protocol):
    """A network with what comes before and after it."""

    @property
    def identity(self) -> str:
        """Return what the detections depend on."""

    def prepare(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize a picture uint8 [H, W, 3] to the size of the network's input."""

    def find(self, pictures: Tensor) -> list[list[FoundBox]]:
        """Return what is in each of the prepared pictures uint8 [N, H, W, 3]."""


def build_default_detector(device: torch.device, accelerate: Accelerate | None = None) -> Detector:
    """Return the detector with its weights on a device. It is not warmed up.

    Args:
        device: the device to run on.
        accelerate: returns faster equivalents of the networks, on a CPU; None keeps them.

    Raises:
        UsageError: a weights file of the package is missing or damaged.
    """
    batch = _CPU_BATCH if device.type == "cpu" else _GPU_BATCH
    if device.type != "cpu":
        accelerate = None
    finders = (ObjectFinder(device, accelerate=accelerate), FaceFinder(device, accelerate=accelerate))
    return DefaultDetector(finders, device, batch=batch)


class DefaultDetector:
    """A detector that shows each picture to several networks, one after the other.

    A person of whom the network for objects is not certain counts if the other one finds a face where the head is.

    On a CPU each picture is examined alone, so that others cannot affect it. On a GPU, pictures of the same size are
    examined together, without TF32, and by algorithms that give the same result each time.

    Args:
        finders: the networks.
        device: the device that they are on.
        batch: the maximum number of pictures of one size that a network sees together.
        person_threshold: the score from which a person counts without a face.
    """

    def __init__(
        self,
        finders: Sequence[_Finder],
        device: torch.device,
        *,
        batch: int,
        person_threshold: float = CERTAIN_PERSON_THRESHOLD,
    ) -> None:
        self._person_threshold = person_threshold
        self._finders = finders
        self._device = device
        self._batch = batch

    @property
    def sha256(self) -> str:
        """Return a checksum over weights, input sizes and thresholds."""
        identity = "\n".join([*(finder.identity for finder in self._finders), str(self._person_threshold)])
        return hashlib.sha256(identity.encode()).hexdigest()

    @property
    def max_side(self) -> int:
        """Return the longer side of the largest input of a network, in pixels."""
        return max(FACE_INPUT_SIDE, INPUT_PIXELS)

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the labels of objects and of faces."""
        return DEFAULT_LABELS

    def warm(self) -> None:
        """Examine a black picture."""
        black = np.zeros((INPUT_PIXELS, FACE_INPUT_SIDE, 3), np.uint8)
        self.detect([DetectionPicture(black, 0, black.shape[1], black.shape[0])])

    def detect(self, pictures: Sequence[DetectionPicture]) -> list[tuple[PredictedDetection, ...]]:
        """Return the detections in each picture, in order, by falling score."""
        found: list[list[FoundBox]] = [[] for _ in pictures]
        with torch.inference_mode(), torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
            for finder in self._finders:
                for index, boxes in self._examine(finder, pictures):
                    found[index] += boxes
        return [
            _detections(picture, drop_doubtful_persons(boxes, self._person_threshold))
            for picture, boxes in zip(pictures, found, strict=True)
        ]

    def _examine(self, finder: _Finder, pictures: Sequence[DetectionPicture]) -> list[tuple[int, list[FoundBox]]]:
        """Return what one network finds, with the index of the picture."""
        by_shape = defaultdict(list)
        for index, picture in enumerate(pictures):
            prepared = finder.prepare(picture.rgb_hwc_u8)
            by_shape[prepared.shape].append((index, prepared))
        examined: list[tuple[int, list[FoundBox]]] = []
        for same in by_shape.values():
            for first in range(0, len(same), self._batch):
                chunk = same[first : first + self._batch]
                batch = torch.from_numpy(np.stack([prepared for _, prepared in chunk])).to(self._device)
                examined += zip([index for index, _ in chunk], finder.find(batch), strict=True)
        return examined


def _detections(picture: DetectionPicture, found: Sequence[FoundBox]) -> tuple[PredictedDetection, ...]:
    """Return boxes by falling score, in pixels of the picture as it was sent."""
    width, height = picture.width, picture.height
    detections = []
    for each in sorted(found, key=lambda each: (-each.score, each.label, each.box)):
        left, top, right, bottom = each.box
        box = (left * width, top * height, right * width, bottom * height)
        detections.append(PredictedDetection(picture.time_ns, each.label, each.score, box))
    return tuple(detections)
