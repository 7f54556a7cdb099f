"""Checks whether a loaded model may replace the one in service: same inputs, runs, and predicts finite numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from triptych.models.execution.warmup_window import full_window
from triptych.models.model import InputSpec, Model
from triptych.models.prediction import WindowPrediction
from triptych.worker.errors import ModelRefusedError


def make_ready(model: Model, spec: InputSpec, window_ns: int) -> None:
    """Warm up a model for windows prepared for `spec`, and run it on one. Blocks.

    Raises:
        ModelRefusedError: if it needs other inputs, or predicts NaN or infinity.
    """
    differences = model.spec.differences_from(spec)
    if differences:
        raise ModelRefusedError(
            f"{model.info.name} needs other inputs than this worker prepares: {differences}; "
            "run it in a worker of its own, with another pipeline name to compare the two"
        )
    model.warm()
    (prediction,) = model.predict([full_window(window_ns, model.spec)])
    if not all(math.isfinite(number) for number in _numbers(prediction)):
        raise ModelRefusedError(f"{model.info.name}: expected finite numbers for a test window, got NaN or infinity")


def _numbers(prediction: WindowPrediction) -> Iterator[float]:
    for scores in (prediction.predictions or {}).values():
        for label in scores:
            yield label.score
            yield 0.0 if label.confidence is None else label.confidence
    yield from (label.score for label in (*prediction.visual, *prediction.sound))
    for detection in prediction.detections or ():
        yield from (detection.score, *detection.box)
    yield from (prediction.shares or {}).values()
    yield from prediction.embedding or ()
