"""The protocol of detectors: pictures in, boxes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triptych.models.prediction import PredictedDetection
    from triptych.models.window import DetectionPicture


class Detector(Protocol):
    """Finds objects in pictures. It is not thread-safe: one thread makes all calls."""

    @property
    def sha256(self) -> str:
        """Return a checksum that changes whenever any weight or threshold changes."""

    @property
    def max_side(self) -> int:
        """Return the length of the longer side, in pixels, above which a picture brings nothing more."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Return all labels that detections may have, in lower case."""

    def warm(self) -> None:
        """Run once, so that no real picture triggers one-time initialisation."""

    def detect(self, pictures: Sequence[DetectionPicture]) -> list[tuple[PredictedDetection, ...]]:
        """Return the detections in each picture, in order, by falling score.

        The other pictures do not affect those of one. Boxes are in pixels of the picture as it was sent, and inside it.
        """
