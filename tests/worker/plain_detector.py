"""A detector without a network, for tests: a picture shows one object, and its brightness says where."""

from __future__ import annotations

import time
from collections.abc import Sequence

from triptych.models.prediction import PredictedDetection
from triptych.models.window import DetectionPicture

_DARK = 20


class PlainDetector:
    """Finds one object in each picture that is not dark: a tenth as wide, and the farther right the brighter it is.

    With `raises_at_shade`, it raises on a picture whose mean is within 3 of that. If it `is_broken`, it can only be
    warmed once.
    """

    def __init__(
        self,
        label: str = "person",
        *,
        sha256: str = "d" * 64,
        max_side: int = 64,
        delay_s: float = 0.0,
        raises_at_shade: float | None = None,
        is_broken: bool = False,
    ) -> None:
        self.sha256 = sha256
        self.max_side = max_side
        self.labels: tuple[str, ...] = ()
        self.warmed = 0
        self.calls: list[int] = []
        self._label = label
        self._delay_s = delay_s
        self._raises_at_shade = raises_at_shade
        self._is_broken = is_broken

    def warm(self) -> None:
        """Count the call; raise after the first if the detector is broken."""
        self.warmed += 1
        if self._is_broken and self.warmed > 1:
            raise RuntimeError("the detector is broken")

    def detect(self, pictures: Sequence[DetectionPicture]) -> list[tuple[PredictedDetection, ...]]:
        """Return at most one detection for each picture."""
        self.calls.append(len(pictures))
        time.sleep(self._delay_s * len(pictures))
        return [self._detections(picture) for picture in pictures]

    def _detections(self, picture: DetectionPicture) -> tuple[PredictedDetection, ...]:
        shade = float(picture.rgb_hwc_u8.mean())
        if self._raises_at_shade is not None and abs(shade - self._raises_at_shade) < 3:
            raise RuntimeError(f"the detector fails at shade {self._raises_at_shade:g}")
        if shade < _DARK:
            return ()
        left = 0.9 * picture.width * shade / 255
        box = (left, 0.0, left + 0.1 * picture.width, 0.5 * picture.height)
        return (PredictedDetection(picture.time_ns, self._label, 0.5, box),)
