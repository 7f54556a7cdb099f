"""Detectors of objects in the library transformers: RT-DETRv2 and D-FINE, which know fixed labels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import torch

from triptych.models.foundation.encoders.joint_encoder import device_of
from triptych.models.foundation.files.libraries import load_pretrained, load_pretrained_model
from triptych.models.foundation.files.model_files import ModelFiles
from triptych.models.prediction import PredictedDetection
from triptych.models.window import DetectionPicture

CLOSED_ARCHITECTURES: Final = ("rt_detr", "rt_detr_v2", "d_fine")
CLOSED_THRESHOLD: Final = 0.5
"""Default of the library."""
_PICTURES_AT_ONCE: Final = 8
_WARM_SIDE: Final = 64


class ClosedDetector:
    """Find objects of the labels that a detector of transformers was trained with.

    Args:
        files: the files of the model.
        device: the device to run on.
        threshold: the lowest score of a detection.
    """

    def __init__(self, files: ModelFiles, device: torch.device, threshold: float = CLOSED_THRESHOLD) -> None:
        self._network = load_pretrained_model("AutoModelForObjectDetection", files).to(device)
        self._processor = load_pretrained("AutoImageProcessor", files)
        self._labels: Mapping[int, str] = self._network.config.id2label
        self._threshold = threshold
        self.sha256 = detector_checksum(files, threshold)
        self.max_side = longer_side(self._processor.size)
        self.labels = tuple(dict.fromkeys(label.lower() for label in self._labels.values()))

    def warm(self) -> None:
        """Run once on a black picture."""
        self.detect([warm_picture()])

    @torch.no_grad()
    def detect(self, pictures: Sequence[DetectionPicture]) -> list[tuple[PredictedDetection, ...]]:
        """Return the detections in each picture, in order, by falling score. See `Detector.detect`."""
        found: list[tuple[PredictedDetection, ...]] = []
        for first in range(0, len(pictures), _PICTURES_AT_ONCE):
            chosen = pictures[first : first + _PICTURES_AT_ONCE]
            # All pictures become the same size, so that none is padded because of another.
            inputs = self._processor(
                images=[each.rgb_hwc_u8 for each in chosen], input_data_format="channels_last", return_tensors="pt"
            )
            outputs = self._network(**inputs.to(device_of(self._network)))
            answers = self._processor.post_process_object_detection(
                outputs, threshold=self._threshold, target_sizes=[(each.height, each.width) for each in chosen]
            )
            found += [
                detections(picture, answer["boxes"], answer["scores"], self._names(answer["labels"]))
                for picture, answer in zip(chosen, answers, strict=True)
            ]
        return found

    def _names(self, labels: torch.Tensor) -> list[str]:
        return [self._labels[index].lower() for index in labels.tolist()]


def detections(
    picture: DetectionPicture, boxes: torch.Tensor, scores: torch.Tensor, labels: Sequence[str]
) -> tuple[PredictedDetection, ...]:
    """Return detections by falling score, with boxes inside the picture.

    Args:
        picture: the picture.
        boxes: float [N, 4], left, top, right and bottom edge in pixels of the picture as it was sent.
        scores: float [N].
        labels: N labels.
    """
    edges = boxes.new_tensor([picture.width, picture.height, picture.width, picture.height])
    inside = torch.minimum(boxes.clamp(min=0), edges)
    order = scores.argsort(descending=True, stable=True).tolist()
    rows, numbers = inside.tolist(), scores.tolist()
    return tuple(
        PredictedDetection(picture.time_ns, labels[index], numbers[index], tuple(rows[index])) for index in order
    )


def detector_checksum(files: ModelFiles, threshold: float, labels: Sequence[str] = ()) -> str:
    """Return a checksum of everything that affects detections."""
    return hashlib.sha256("\n".join((files.sha256, repr(threshold), *labels)).encode()).hexdigest()


def longer_side(size: Any) -> int:  # noqa: ANN401 - a dictionary, or a size object of transformers
    """Return the longer side of the pictures that a processor makes, in pixels."""
    sides = dict(size)
    return int(max(side for side in sides.values() if side is not None))


def warm_picture() -> DetectionPicture:
    """Return a small black picture."""
    return DetectionPicture(
        np.zeros((_WARM_SIDE, _WARM_SIDE, 3), np.uint8), time_ns=0, width=_WARM_SIDE, height=_WARM_SIDE
    )
