"""A shadow model: it predicts the same windows as the model in service. Its predictions are compared, never published.

It runs in a background thread, on windows that are already on their way to be published, and sleeps between batches so
that it uses only a share of the time. At most two batches wait; further windows are skipped and counted. Its errors
never affect the worker.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from triptych.models.model import Model, ModelInfo
from triptych.models.prediction import WindowPrediction
from triptych.worker.observability.events import ShadowFailed, ShadowSkipped
from triptych.worker.observability.hooks import Hooks
from triptych.worker.serving.shadow_summary import Answered, ShadowSummary

BATCHES_WAITING: Final = 2
FAILURES_ALLOWED: Final = 3
"""The number of consecutive failed batches after which the shadow model is removed."""
_CLOSE_LIMIT_S: Final = 5.0

_Batch = tuple[ModelInfo, Sequence[Answered]]


class Shadow:
    """Compares a shadow model with the one in service. Starts without a model; `replace` sets it. Thread-safe."""

    def __init__(self, hooks: Hooks, *, share: float, summary_every_s: float = 60.0) -> None:
        """Start the thread; `close` ends it.

        Args:
            hooks: Receive the comparisons as events.
            share: The largest share of the time that the shadow model may run, in (0, 1].
            summary_every_s: The interval of the summary events.
        """
        self._hooks = hooks
        self._sleep_per_work = 1 / share - 1
        self._summary_every_s = summary_every_s
        self._changed = threading.Condition()
        self._model: Model | None = None
        self._waiting: deque[_Batch] = deque()
        self._closing = False
        self._skipped = 0
        self._summary = ShadowSummary()
        self._compared = ("", "")  # checksums of the models in the summary
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    @property
    def info(self) -> ModelInfo | None:
        """The identity of the shadow model; None if there is none."""
        model = self._model
        return None if model is None else model.info

    def replace(self, model: Model) -> None:
        """Use this model, which must be warmed up, from the next batch on."""
        with self._changed:
            self._model = model
            self._failures = 0

    def offer(self, model: ModelInfo, answered: Sequence[Answered]) -> None:
        """Queue windows with the predictions of the model in service, or skip them. Never blocks."""
        with self._changed:
            if self._model is not None and len(self._waiting) < BATCHES_WAITING:
                self._waiting.append((model, answered))
                self._changed.notify()
                return
            self._skipped += len(answered)
        self._hooks.emit(ShadowSkipped(windows=len(answered)))

    def close(self) -> None:
        """Stop the thread. Wait at most 5 s for a running batch."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_CLOSE_LIMIT_S)

    # --- background thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        summary_at_s = time.monotonic() + self._summary_every_s
        while not self._closing:
            work_s = self._work(limit_s=max(0.0, summary_at_s - time.monotonic()))
            with self._changed:
                self._changed.wait_for(lambda: self._closing, work_s * self._sleep_per_work)
            if time.monotonic() >= summary_at_s:
                summary_at_s = time.monotonic() + self._summary_every_s
                self._summarise()
        self._summarise()

    def _work(self, *, limit_s: float) -> float:
        """Run the next batch, if there is one within `limit_s`. Return how long it took, in seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing, limit_s)
            if self._closing or not self._waiting or self._model is None:
                return 0.0
            model = self._model
            served_by, answered = self._waiting.popleft()
        started_s = time.monotonic()
        self._compare(model, served_by, answered)
        return time.monotonic() - started_s

    def _compare(self, model: Model, served_by: ModelInfo, answered: Sequence[Answered]) -> None:
        self._start_summary_of(served_by.sha256, model.info.sha256)
        try:
            comparison = self._summary.compare(answered, _predict(model, answered))
        except Exception as error:  # noqa: BLE001 - an error of a shadow model must not affect the worker
            self._fail(model, len(answered), error)
            return
        self._failures = 0
        self._hooks.emit(comparison)

    def _fail(self, model: Model, windows: int, error: Exception) -> None:
        self._failures += 1
        self._summary.failed += windows
        given_up = self._failures >= FAILURES_ALLOWED
        if given_up:
            self._failures = 0
            with self._changed:
                if self._model is model:
                    self._model = None
                    self._skipped += sum(len(answered) for _, answered in self._waiting)
                    self._waiting.clear()
        self._hooks.emit(ShadowFailed(windows=windows, error=repr(error), given_up=given_up))

    def _start_summary_of(self, *compared: str) -> None:
        """Emit the summary so far if it is of other models."""
        if self._compared != compared:
            self._summarise()
            self._compared = (compared[0], compared[1])

    def _summarise(self) -> None:
        with self._changed:
            self._summary.skipped, self._skipped = self._skipped, 0
        model_sha256, shadow_sha256 = self._compared
        summary = self._summary.summary(model_sha256=model_sha256, shadow_sha256=shadow_sha256)
        if summary is not None:
            self._hooks.emit(summary)


def _predict(model: Model, answered: Sequence[Answered]) -> list[WindowPrediction]:
    predictions = model.predict([window for window, _ in answered])
    if len(predictions) != len(answered):
        raise ValueError(f"predictions: expected one for each of {len(answered)} windows, got {len(predictions)}")
    return predictions
