"""The null model answers without looking."""

from __future__ import annotations

from collections.abc import Callable

from triptych.models.model import InputSpec
from triptych.models.null import NullModel
from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedCue, PreparedWindow


def test_it_repeats_the_words_and_says_nothing_else(make_window: Callable[..., PreparedWindow]) -> None:
    """One prediction for each window, in order."""
    model = NullModel(InputSpec(frames=1, height=8, width=8, sample_rate_hz=16_000))
    model.warm()
    cue = PreparedCue("hello", 0, 1)
    assert model.predict([make_window(cues=(cue,)), make_window()]) == [
        WindowPrediction(words=(cue,)),
        WindowPrediction(),
    ]
