"""How the stages and the worker's main loop work together."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from tests.worker.world import Feed, World
from triptych.models.null import NullModel
from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedWindow
from triptych.worker.pipeline import Pipeline

BATCH_S = 0.2


def test_the_loop_leaves_a_slow_model_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks a few times a batch whether there is something to do. Each look takes CPU from the model."""
    steps_during: list[int] = []
    counted, step, predict = [0], Pipeline.step, NullModel.predict

    def counting(pipeline: Pipeline) -> None:
        counted[0] += 1
        step(pipeline)

    def slow(model: NullModel, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        before = counted[0]
        time.sleep(BATCH_S)
        steps_during.append(counted[0] - before)
        return predict(model, windows)

    world.send(Feed("city").play(60))
    with world.open() as pipeline:
        monkeypatch.setattr(Pipeline, "step", counting)
        monkeypatch.setattr(NullModel, "predict", slow)
        pipeline.run(threading.Event(), until_end=lambda: True)

    assert len(world.results()) == 30
    assert len(steps_during) >= 3
    first, *later = steps_during  # how long the first one takes is not known before
    assert min(later) <= 10, f"{first} steps, then {later}; every 5 ms would be {BATCH_S / 0.005:.0f}"
