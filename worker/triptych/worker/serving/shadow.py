"""A second model that judges what the first one has answered; it is compared, and never published.

It has a thread of its own, takes what has already gone on to be published, and rests between batches so that it works
for a share of the time only. What comes while it works or rests waits in two batches at most; more goes by, and is
counted. Whatever it raises stays here.
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
"""Batches in a row on which the shadow may fail before it is given up."""
_CLOSE_LIMIT_S: Final = 5.0

_Batch = tuple[ModelInfo, Sequence[Answered]]


class Shadow:
    """Compares a model with the one in service. Begins without; `replace` gives it one, from any thread."""

    def __init__(self, hooks: Hooks, *, share: float, summary_every_s: float = 60.0) -> None:
        """Start the thread; `close` ends it.

        Args:
            hooks: told what is found.
            share: of the time, how much the shadow may work at most.
            summary_every_s: how often what was found is summed up.
        """
        self._hooks = hooks
        self._rest_for_work = 1 / share - 1
        self._summary_every_s = summary_every_s
        self._changed = threading.Condition()
        self._model: Model | None = None
        self._waiting: deque[_Batch] = deque()
        self._closing = False
        self._skipped = 0
        self._tally = ShadowSummary()
        self._compared = ("", "")  # the checksums that the tally is of
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    @property
    def info(self) -> ModelInfo | None:
        """Name the shadow; None where there is none."""
        model = self._model
        return None if model is None else model.info

    def replace(self, model: Model) -> None:
        """Judge with this model, which is warm, from the next batch on."""
        with self._changed:
            self._model = model
            self._failures = 0

    def offer(self, model: ModelInfo, answered: Sequence[Answered]) -> None:
        """Take windows that the model of this name has answered, or let them go by. Never waits."""
        with self._changed:
            if self._model is not None and len(self._waiting) < BATCHES_WAITING:
                self._waiting.append((model, answered))
                self._changed.notify()
                return
            self._skipped += len(answered)
        self._hooks.emit(ShadowSkipped(windows=len(answered)))

    def close(self) -> None:
        """End the thread; one that hangs in its model is left behind."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_CLOSE_LIMIT_S)

    # --- its own thread -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        summary_at_s = time.monotonic() + self._summary_every_s
        while not self._closing:
            work_s = self._work(limit_s=max(0.0, summary_at_s - time.monotonic()))
            with self._changed:
                self._changed.wait_for(lambda: self._closing, work_s * self._rest_for_work)
            if time.monotonic() >= summary_at_s:
                summary_at_s = time.monotonic() + self._summary_every_s
                self._summarise()
        self._summarise()

    def _work(self, *, limit_s: float) -> float:
        """Judge the next batch, if one comes within the limit; return how long that took."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing, limit_s)
            if self._closing or not self._waiting or self._model is None:
                return 0.0
            model = self._model
            by, answered = self._waiting.popleft()
        started_s = time.monotonic()
        self._judge(model, by, answered)
        return time.monotonic() - started_s

    def _judge(self, model: Model, by: ModelInfo, answered: Sequence[Answered]) -> None:
        self._tally_of(by.sha256, model.info.sha256)
        try:
            judged = self._tally.compare(answered, _predict(model, answered))
        except Exception as error:  # noqa: BLE001 - whatever a shadow raises is its own affair
            self._fail(model, len(answered), error)
            return
        self._failures = 0
        self._hooks.emit(judged)

    def _fail(self, model: Model, windows: int, error: Exception) -> None:
        self._failures += 1
        self._tally.failed += windows
        given_up = self._failures >= FAILURES_ALLOWED
        if given_up:
            self._failures = 0
            with self._changed:
                if self._model is model:
                    self._model = None
                    self._skipped += sum(len(answered) for _, answered in self._waiting)
                    self._waiting.clear()
        self._hooks.emit(ShadowFailed(windows=windows, error=repr(error), given_up=given_up))

    def _tally_of(self, *compared: str) -> None:
        """Sum up what was compared before where it was of other models."""
        if self._compared != compared:
            self._summarise()
            self._compared = (compared[0], compared[1])

    def _summarise(self) -> None:
        with self._changed:
            self._tally.skipped, self._skipped = self._skipped, 0
        model_sha256, shadow_sha256 = self._compared
        summary = self._tally.summary(model_sha256=model_sha256, shadow_sha256=shadow_sha256)
        if summary is not None:
            self._hooks.emit(summary)


def _predict(model: Model, answered: Sequence[Answered]) -> list[WindowPrediction]:
    predictions = model.predict([window for window, _ in answered])
    if len(predictions) != len(answered):
        raise ValueError(f"predictions: expected one for each of {len(answered)} windows, got {len(predictions)}")
    return predictions
