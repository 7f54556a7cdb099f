"""Find objects of 23 kinds in pictures, with the SSD of Open Images."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.models.detection.boxes import FoundBox, best_boxes
from triptych.models.detection.persons import PERSON
from triptych.models.detection.shipped_weights import OPEN_IMAGES_SSD, load_shipped_weights
from triptych.models.detection.ssd import INPUT_PIXELS, LABELS, OpenImagesSsd, decode_boxes
from triptych.models.network.parts import Accelerate

OBJECT_THRESHOLD: Final = 0.45
"""For all labels but persons. Measured, as the other thresholds were, by `benchmarks/detection_quality.py`."""
DOUBTFUL_PERSON_THRESHOLD: Final = 0.2
"""For persons, because a face may confirm them: see `drop_doubtful_persons`."""
_MAX_OVERLAP: Final = 0.4
_PIXEL_MEAN = _PIXEL_SCALE = 127.5


class ObjectFinder:
    """The network, with what comes before and after it.

    Args:
        device: the device to run on.
        threshold: the score below which nothing counts as found, except persons.
        person_threshold: the score below which no person counts as found.
        accelerate: returns a faster equivalent of the network; None keeps it.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        threshold: float = OBJECT_THRESHOLD,
        person_threshold: float = DOUBTFUL_PERSON_THRESHOLD,
        accelerate: Accelerate | None = None,
    ) -> None:
        thresholds = [person_threshold if label == PERSON else threshold for label in LABELS]
        self._thresholds = torch.tensor(thresholds, device=device)
        self._identity = f"{OPEN_IMAGES_SSD.sha256} {INPUT_PIXELS} {threshold} {person_threshold} {_MAX_OVERLAP}"
        network = OpenImagesSsd().eval()
        network.load_state_dict(load_shipped_weights(OPEN_IMAGES_SSD))
        self._network: nn.Module = network.to(memory_format=torch.channels_last).to(device)
        self._anchors = network.anchors
        if accelerate is not None:
            example = torch.zeros(1, 3, INPUT_PIXELS, INPUT_PIXELS)
            self._network = accelerate("open-images-ssd", self._network, [example])

    @property
    def identity(self) -> str:
        """Return what the detections depend on: weights, input size and thresholds."""
        return self._identity

    def prepare(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Stretch a picture RGB uint8 [H, W, 3] to the size of the network's input, uint8 [300, 300, 3]."""
        return np.asarray(cv2.resize(rgb, (INPUT_PIXELS, INPUT_PIXELS), interpolation=cv2.INTER_AREA), np.uint8)

    def find(self, pictures: Tensor) -> list[list[FoundBox]]:
        """Return the objects in each of the prepared pictures uint8 [N, 300, 300, 3], by falling score."""
        encoded, logits = self._network((pictures.permute(0, 3, 1, 2).float() - _PIXEL_MEAN) / _PIXEL_SCALE)
        scores = logits[:, :, 1:].sigmoid()  # without the background: [N, 1917, 23]
        return [self._choose(*each) for each in zip(encoded, scores, strict=True)]

    def _choose(self, encoded: Tensor, scores: Tensor) -> list[FoundBox]:
        """Return the objects of one picture, of encoded boxes float [1917, 4] and scores float [1917, 23]."""
        anchors, labels = (scores >= self._thresholds).nonzero(as_tuple=True)
        boxes = decode_boxes(encoded[anchors], self._anchors[anchors])
        return best_boxes(boxes, scores[anchors, labels], labels, names=LABELS, max_overlap=_MAX_OVERLAP)
