"""The null model."""

from __future__ import annotations

from collections.abc import Callable

from triptych.models.model import InputSpec
from triptych.models.null import NullModel
from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedCue, PreparedWindow


def test_it_returns_the_cues_and_nothing_else(make_window: Callable[..., PreparedWindow]) -> None:
    """There is one prediction per window, in order, with the cues only."""
    model = NullModel(InputSpec(frames=1, height=8, width=8, sample_rate_hz=16_000))
    model.warm()
    cue = PreparedCue("hello", 0, 1)
    assert model.predict([make_window(cues=(cue,)), make_window()]) == [
        WindowPrediction(words=(cue,)),
        WindowPrediction(),
    ]
