"""Running the model on prepared windows, so that one bad window never takes the others with it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from triptych.models.model import InputSpec, Model, ModelInfo
from triptych.models.prediction import WindowPrediction
from triptych.worker.errors import ModelBrokenError
from triptych.worker.media.preparer import Preparation
from triptych.worker.observability.events import BatchInferred, ModelFailed, StageCompleted
from triptych.worker.observability.hooks import Hooks
from triptych.worker.publishing.result import ModelOutput


class Inference:
    """Owns the model; one thread calls it."""

    def __init__(self, model: Model, hooks: Hooks) -> None:
        """Infer with `model`, which is warm."""
        self._model = model
        self._hooks = hooks

    @property
    def info(self) -> ModelInfo:
        """Name the model."""
        return self._model.info

    @property
    def spec(self) -> InputSpec:
        """Say how windows must be prepared; the same for every model that comes."""
        return self._model.spec

    def replace(self, model: Model) -> None:
        """Infer with another model from now on, which is warm and reads the same windows. By the thread that infers."""
        self._model = model

    def say(self, prepared: Sequence[tuple[Preparation, float]]) -> list[ModelOutput]:
        """Return what the model says of each window, in order.

        A window on which the model fails even alone is answered with its words only, and counted. So is one for which
        the model is not to be asked, without being counted as a failure.

        Raises:
            ModelBrokenError: the model fails on its own warm-up input too.
        """
        answers = iter(self._ask([each for each in prepared if each[0].asks_model]))
        return [
            next(answers) if preparation.asks_model else self._unasked(preparation, prepare_ms)
            for preparation, prepare_ms in prepared
        ]

    def _unasked(self, preparation: Preparation, prepare_ms: float) -> ModelOutput:
        words_only = WindowPrediction(words=preparation.window.cues)
        return ModelOutput(preparation, words_only, self._model.info, {"prepare": prepare_ms})

    def _ask(self, prepared: Sequence[tuple[Preparation, float]]) -> list[ModelOutput]:
        if not prepared:
            return []
        started_ns = time.monotonic_ns()
        try:
            predictions = self._model.predict([preparation.window for preparation, _ in prepared])
            failed = [False] * len(prepared)
        except Exception:  # noqa: BLE001 - whatever a model raises, each window is tried alone; failures are reported there
            alone = [self._predict_alone(preparation) for preparation, _ in prepared]
            predictions = [
                prediction or WindowPrediction(words=p.window.cues)
                for prediction, (p, _) in zip(alone, prepared, strict=True)
            ]
            failed = [prediction is None for prediction in alone]
        took_ms = (time.monotonic_ns() - started_ns) / 1e6
        self._hooks.emit(BatchInferred(windows=len(prepared), took_ms=took_ms))
        self._hooks.emit(StageCompleted(stage="infer", took_ms=took_ms))
        return [
            ModelOutput(
                preparation, prediction, self._model.info, {"prepare": prepare_ms, "infer": took_ms}, failed=bad
            )
            for (preparation, prepare_ms), prediction, bad in zip(prepared, predictions, failed, strict=True)
        ]

    def _predict_alone(self, preparation: Preparation) -> WindowPrediction | None:
        try:
            return self._model.predict([preparation.window])[0]
        except Exception as error:  # noqa: BLE001 - reported, and told apart from a broken model by the warm-up
            self._check_alive(error)
            window = preparation.window
            self._hooks.emit(ModelFailed(stream=window.stream, start_ns=window.start_ns, error=repr(error)))
            return None

    def _check_alive(self, cause: Exception) -> None:
        try:
            self._model.warm()
        except Exception as error:  # noqa: BLE001 - whatever a model raises; this one stops the worker
            raise ModelBrokenError(
                f"the model {self._model.info.name} fails on any input: {error!r}; nothing of this batch was published"
            ) from cause
