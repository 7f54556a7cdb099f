"""A model and a detector as one model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.worker.plain_detector import PlainDetector
from triptych.models.detection.detecting_model import DetectingModel
from triptych.models.execution.warmup_window import full_window
from triptych.models.model import DetectionSpec, InputSpec
from triptych.models.null import NullModel
from triptych.models.prediction import PredictedLabel, WindowPrediction
from triptych.models.window import DetectionPicture, PreparedWindow

SPEC = InputSpec(frames=4, height=32, width=32, sample_rate_hz=16_000)


class LabellingModel(NullModel):
    """Predicts one label, and counts its warm-ups."""

    warmed = 0

    def warm(self) -> None:
        """Count the call."""
        self.warmed += 1

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Return the label for each window."""
        return [WindowPrediction(visual=(PredictedLabel("street", 0.5),)) for _ in windows]


def showing(*shades: int) -> PreparedWindow:
    """Return a window with a picture of 64x36 pixels for each shade, sent as 128x72, one a second."""
    pictures = tuple(
        DetectionPicture(np.full((36, 64, 3), shade, np.uint8), time_ns=at, width=128, height=72)
        for at, shade in enumerate(shades)
    )
    return replace(full_window(2_000_000_000, SPEC), pictures=pictures)


def test_detections_are_added_to_the_predictions() -> None:
    """Those of each window's own pictures, in one call for the batch. A window without pictures stays as it is."""
    detector = PlainDetector("car")
    model = DetectingModel(LabellingModel(SPEC), detector, pictures=2)
    one, none, two = model.predict([showing(255, 51), showing(), showing(102)])

    assert [prediction.visual[0].label for prediction in (one, none, two)] == ["street"] * 3
    assert [(each.time_ns, each.label, each.box) for each in one.detections or ()] == [
        (0, "car", pytest.approx((115.2, 0, 128, 36))),
        (1, "car", pytest.approx((23.04, 0, 35.84, 36))),
    ]
    assert len(two.detections or ()) == 1
    assert (none.detections, none.detect_ms) == (None, None)
    assert detector.calls == [3]
    assert model.predict([]) == []


def test_the_checksum_covers_both() -> None:
    """Tracks of another detector are not continued."""
    inner = LabellingModel(SPEC)
    checksums = {
        inner.info.sha256,
        DetectingModel(inner, PlainDetector(), pictures=1).info.sha256,
        DetectingModel(inner, PlainDetector(sha256="e" * 64), pictures=1).info.sha256,
    }
    assert len(checksums) == 3
    composed = DetectingModel(inner, PlainDetector(), pictures=1)
    assert (composed.info.name, composed.info.version) == (inner.info.name, inner.info.version)
    assert composed.info == DetectingModel(inner, PlainDetector(), pictures=3).info


def test_windows_are_prepared_for_both() -> None:
    """And both are warmed up. Windows for the model alone still fit: the shadow has no detector."""
    inner, detector = LabellingModel(SPEC), PlainDetector(max_side=320)
    model = DetectingModel(inner, detector, pictures=3)
    assert model.spec == replace(SPEC, detection=DetectionSpec(pictures=3, max_side=320))
    assert inner.spec.differences_from(model.spec) == ""
    assert [picture.rgb_hwc_u8.shape for picture in full_window(10**9, model.spec).pictures] == [(320, 320, 3)] * 3
    model.warm()
    assert (inner.warmed, detector.warmed) == (1, 1)


def test_a_window_on_which_the_detector_fails_keeps_its_prediction() -> None:
    """The others of its batch have their detections."""
    model = DetectingModel(LabellingModel(SPEC), PlainDetector(raises_at_shade=102), pictures=2)
    good, bad, other = model.predict([showing(255, 51), showing(51, 102), showing(51)])

    assert [len(prediction.detections or ()) for prediction in (good, other)] == [2, 1]
    assert (bad.detections, bad.visual[0].label) == (None, "street")
    assert "the detector fails at shade 102" in (bad.detection_error or "")
    assert (good.detection_error, other.detection_error) == (None, None)


def test_a_detector_that_loses_a_picture_fails() -> None:
    """Detections must not end up at another window."""

    class Forgetful(PlainDetector):
        def detect(self, pictures: Sequence[DetectionPicture]) -> list[tuple[object, ...]]:  # type: ignore[override]
            return list(super().detect(pictures)[1:])

    (prediction,) = DetectingModel(LabellingModel(SPEC), Forgetful(), pictures=2).predict([showing(255, 51)])
    assert "expected those of 2 pictures, got 1" in (prediction.detection_error or "")
