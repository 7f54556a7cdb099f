"""Find faces in pictures, with CenterFace."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.models.detection.boxes import FoundBox, best_boxes
from triptych.models.detection.center_face import POSITION_PIXELS, SIZE_MULTIPLE, CenterFace, decode_faces
from triptych.models.detection.persons import FACE
from triptych.models.detection.shipped_weights import CENTER_FACE, load_shipped_weights
from triptych.models.network.parts import Accelerate

FACE_INPUT_SIDE: Final = 480
"""The longer side of the network's input, in pixels."""
FACE_THRESHOLD: Final = 0.5
_MAX_OVERLAP: Final = 0.3


class FaceFinder:
    """The network, with what comes before and after it.

    Args:
        device: the device to run on.
        threshold: the score below which nothing counts as found.
        side: the longer side of the network's input, in pixels.
        accelerate: returns a faster equivalent of the network; None keeps it.
    """

    def __init__(
        self,
        device: torch.device,
        *,
        threshold: float = FACE_THRESHOLD,
        side: int = FACE_INPUT_SIDE,
        accelerate: Accelerate | None = None,
    ) -> None:
        self._threshold = threshold
        self._side = side
        network = CenterFace().eval()
        network.load_state_dict(load_shipped_weights(CENTER_FACE))
        self._network: nn.Module = network.to(memory_format=torch.channels_last).to(device)
        if accelerate is not None:
            example = torch.zeros(1, 3, *face_input_size(9, 16, side))
            self._network = accelerate("center-face", self._network, [example], any_size=True)

    @property
    def identity(self) -> str:
        """Return what the detections depend on: weights, input size and thresholds."""
        return f"{CENTER_FACE.sha256} {self._side} {self._threshold} {_MAX_OVERLAP}"

    def prepare(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize a picture RGB uint8 [H, W, 3] to the network's input: its longer side to about that of `FaceFinder`.

        Both sides become multiples of 32, so the proportions change a little.
        """
        height, width = face_input_size(rgb.shape[0], rgb.shape[1], self._side)
        way = cv2.INTER_AREA if height < rgb.shape[0] else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(rgb, (width, height), interpolation=way), np.uint8)

    def find(self, pictures: Tensor) -> list[list[FoundBox]]:
        """Return the faces in each of the prepared pictures uint8 [N, H, W, 3], by falling score."""
        images = pictures.permute(0, 3, 1, 2).float()
        logits, geometry = self._network(images)
        return [self._choose(*each) for each in zip(logits.sigmoid(), geometry, strict=True)]

    def _choose(self, scores: Tensor, geometry: Tensor) -> list[FoundBox]:
        """Return the faces of one picture, of scores float [H/4, W/4] and geometry float [H/4, W/4, 4]."""
        rows, columns = (scores >= self._threshold).nonzero(as_tuple=True)
        height, width = (positions * POSITION_PIXELS for positions in scores.shape)
        boxes = decode_faces(geometry[rows, columns], rows, columns) / scores.new_tensor([width, height, width, height])
        return best_boxes(boxes, scores[rows, columns], torch.zeros_like(rows), names=(FACE,), max_overlap=_MAX_OVERLAP)


def face_input_size(height: int, width: int, side: int) -> tuple[int, int]:
    """Return height and width of the network's input for a picture, in pixels; the longer is about `side`."""
    scale = side / max(height, width)
    return _rounded(height * scale), _rounded(width * scale)


def _rounded(pixels: float) -> int:
    return max(1, round(pixels / SIZE_MULTIPLE)) * SIZE_MULTIPLE
