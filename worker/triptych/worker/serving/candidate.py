"""Whether a model that was loaded may take over: it reads the same windows, runs, and answers in numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from triptych.models.execution.warmup_window import full_window
from triptych.models.model import InputSpec, Model
from triptych.models.prediction import WindowPrediction
from triptych.worker.errors import ModelRefusedError


def make_ready(model: Model, spec: InputSpec, window_ns: int) -> None:
    """Warm a model that is to read windows prepared for `spec`, and try it.

    Raises:
        ModelRefusedError: it wants other windows, or does not answer in numbers.
    """
    differences = model.spec.differences_from(spec)
    if differences:
        raise ModelRefusedError(
            f"{model.info.name} wants other windows than the worker prepares: {differences}; "
            "start a worker with it, under another pipeline name to compare the two"
        )
    model.warm()
    (prediction,) = model.predict([full_window(window_ns, model.spec)])
    if not all(math.isfinite(number) for number in _numbers(prediction)):
        raise ModelRefusedError(f"{model.info.name} answers a window to try it with something that is no number")


def _numbers(prediction: WindowPrediction) -> Iterator[float]:
    for scores in (prediction.predictions or {}).values():
        for said in scores:
            yield said.score
            yield 0.0 if said.confidence is None else said.confidence
    yield from (label.score for label in (*prediction.visual, *prediction.sound))
    yield from (prediction.shares or {}).values()
    yield from prediction.embedding or ()
