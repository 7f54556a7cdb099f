"""Runs the model on prepared windows, and isolates windows on which it fails."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from triptych.models.model import InputSpec, Model, ModelInfo
from triptych.models.prediction import WindowPrediction
from triptych.units import NS_PER_MS
from triptych.worker.errors import ModelBrokenError
from triptych.worker.media.preparer import Preparation
from triptych.worker.observability.events import BatchInferred, ModelFailed, StageCompleted
from triptych.worker.observability.hooks import Hooks
from triptych.worker.publishing.result import ModelOutput


class ModelRunner:
    """Owns the model in service. Only the inference thread calls `predict` and `replace`."""

    def __init__(self, model: Model, hooks: Hooks) -> None:
        """Run `model`, which is warm."""
        self._model = model
        self._hooks = hooks

    @property
    def info(self) -> ModelInfo:
        """The name, version and checksum of the model in service."""
        return self._model.info

    @property
    def spec(self) -> InputSpec:
        """How windows must be prepared. The same for every model that replaces this one."""
        return self._model.spec

    def replace(self, model: Model) -> None:
        """Put another model into service. It is warm and has the same input spec."""
        self._model = model

    def predict(self, prepared: Sequence[tuple[Preparation, float]]) -> list[ModelOutput]:
        """Return the model's output for each window, in order.

        If the model raises on a batch, each window is run alone. A window on which the model raises even then gets an
        output without predictions, marked as failed. A window that overload excludes from the model (`asks_model` is
        false) gets one too, but is not marked.

        Args:
            prepared: windows, and how many milliseconds the preparation of each took.

        Raises:
            ModelBrokenError: the model raises on its own warm-up input too.
        """
        outputs = iter(self._predict_batch([each for each in prepared if each[0].asks_model]))
        return [
            next(outputs) if preparation.asks_model else self._without_prediction(preparation, prepare_ms)
            for preparation, prepare_ms in prepared
        ]

    def _without_prediction(self, preparation: Preparation, prepare_ms: float) -> ModelOutput:
        words_only = WindowPrediction(words=preparation.window.cues)
        return ModelOutput(preparation, words_only, self._model.info, {"prepare": prepare_ms})

    def _predict_batch(self, prepared: Sequence[tuple[Preparation, float]]) -> list[ModelOutput]:
        if not prepared:
            return []
        started_ns = time.monotonic_ns()
        try:
            predictions = self._model.predict([preparation.window for preparation, _ in prepared])
            failed = [False] * len(prepared)
        except Exception:  # noqa: BLE001 - a model may raise anything; each window is tried alone, which reports failures
            alone = [self._predict_alone(preparation) for preparation, _ in prepared]
            predictions = [
                prediction or WindowPrediction(words=p.window.cues)
                for prediction, (p, _) in zip(alone, prepared, strict=True)
            ]
            failed = [prediction is None for prediction in alone]
        took_ms = (time.monotonic_ns() - started_ns) / NS_PER_MS
        self._hooks.emit(BatchInferred(windows=len(prepared), took_ms=took_ms))
        self._hooks.emit(StageCompleted(stage="infer", took_ms=took_ms))
        detecting = self._report_detection(prepared, predictions)
        return [
            ModelOutput(
                preparation,
                prediction,
                self._model.info,
                {"prepare": prepare_ms, "infer": took_ms, **detecting},
                failed=has_failed,
            )
            for (preparation, prepare_ms), prediction, has_failed in zip(prepared, predictions, failed, strict=True)
        ]

    def _report_detection(
        self, prepared: Sequence[tuple[Preparation, float]], predictions: Sequence[WindowPrediction]
    ) -> Mapping[str, float]:
        """Report the windows on which the detector failed. Return the duration of its stage, if it ran.

        Raises:
            ModelBrokenError: the detector raises on its own warm-up input too.
        """
        for (preparation, _), prediction in zip(prepared, predictions, strict=True):
            if prediction.detection_error is not None:
                self._check_alive(None)
                window = preparation.window
                self._hooks.emit(ModelFailed(window.stream, window.start_ns, window.end_ns, prediction.detection_error))
        took_ms = max((each.detect_ms for each in predictions if each.detect_ms is not None), default=None)
        if took_ms is None:
            return {}
        self._hooks.emit(StageCompleted(stage="detect", took_ms=took_ms))
        return {"detect": took_ms}

    def _predict_alone(self, preparation: Preparation) -> WindowPrediction | None:
        try:
            return self._model.predict([preparation.window])[0]
        except Exception as error:  # noqa: BLE001 - a model may raise anything; the warm-up tells whether it is broken
            self._check_alive(error)
            window = preparation.window
            self._hooks.emit(ModelFailed(window.stream, window.start_ns, window.end_ns, repr(error)))
            return None

    def _check_alive(self, cause: Exception | None) -> None:
        try:
            self._model.warm()
        except Exception as error:  # noqa: BLE001 - a model may raise anything; this stops the worker
            raise ModelBrokenError(
                f"the model {self._model.info.name} fails on any input: {error!r}; nothing of this batch was published"
            ) from cause
