"""A model of any kind and a detector beside it, as one model."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from triptych.models.model import DetectionSpec, InputSpec, Model, ModelInfo
from triptych.units import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triptych.models.detection.detector import Detector
    from triptych.models.prediction import PredictedDetection, WindowPrediction
    from triptych.models.window import PreparedWindow

Detections = tuple["PredictedDetection", ...]


class DetectingModel:
    """Adds the detections in the pictures of each window to the predictions of another model.

    If the detector raises on a window, the prediction of the other model is kept: `detections` is None and
    `detection_error` says why.
    """

    def __init__(self, model: Model, detector: Detector, *, pictures: int) -> None:
        """Compose `model` with `detector`, which sees at most `pictures` pictures per window."""
        self._model = model
        self._detector = detector
        self._pictures = pictures

    @property
    def info(self) -> ModelInfo:
        """The identity of the model; the checksum covers the detector too."""
        info = self._model.info
        return replace(info, sha256=hashlib.sha256(f"{info.sha256}{self._detector.sha256}".encode()).hexdigest())

    @property
    def spec(self) -> InputSpec:
        """How windows must be prepared: as for the model, and with pictures for the detector."""
        return replace(
            self._model.spec, detection=DetectionSpec(self._pictures, self._detector.max_side, self._detector.labels)
        )

    def warm(self) -> None:
        """Warm up the model and the detector."""
        self._model.warm()
        self._detector.warm()

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Return one prediction per window, in order, with its detections. Raises what the model raises."""
        predictions = self._model.predict(windows)
        examined = [window for window in windows if window.pictures]
        started_ns = time.monotonic_ns()
        outcomes = iter(self._detect(examined))
        took_ms = (time.monotonic_ns() - started_ns) / NS_PER_MS
        return [
            _with_outcome(prediction, next(outcomes), took_ms) if window.pictures else prediction
            for window, prediction in zip(windows, predictions, strict=True)
        ]

    def _detect(self, windows: Sequence[PreparedWindow]) -> list[Detections | Exception]:
        """Return the detections of each window, or the error of one on which the detector raises even alone."""
        try:
            return list(self._detect_together(windows))
        except Exception:  # noqa: BLE001 - a detector may raise anything; each window is tried alone
            return [self._detect_alone(window) for window in windows]

    def _detect_alone(self, window: PreparedWindow) -> Detections | Exception:
        try:
            return self._detect_together([window])[0]
        except Exception as error:  # noqa: BLE001 - a detector may raise anything; the caller reports it
            return error

    def _detect_together(self, windows: Sequence[PreparedWindow]) -> list[Detections]:
        pictures = [picture for window in windows for picture in window.pictures]
        found = self._detector.detect(pictures) if pictures else []
        if len(found) != len(pictures):
            raise ValueError(f"detections: expected those of {len(pictures)} pictures, got {len(found)}")
        by_picture = iter(found)
        return [tuple(each for _ in window.pictures for each in next(by_picture)) for window in windows]


def _with_outcome(prediction: WindowPrediction, outcome: Detections | Exception, took_ms: float) -> WindowPrediction:
    if isinstance(outcome, Exception):
        return replace(prediction, detection_error=repr(outcome), detect_ms=took_ms)
    return replace(prediction, detections=outcome, detect_ms=took_ms)
