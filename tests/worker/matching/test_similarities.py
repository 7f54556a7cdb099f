"""The similarity of a window to a prompt."""

from __future__ import annotations

import numpy as np

from triptych.models.prediction import WindowVectors
from triptych.worker.matching.prompt_timeline import EmbeddedPrompt, PromptDirection
from triptych.worker.matching.similarities import WindowSources, similarity_of

_FRAMES = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
_PROMPT = EmbeddedPrompt(
    "fire", "1", PromptDirection("s", np.array([0, 1], np.float32), np.zeros((0, 2), np.float32)), (), ()
)


def test_the_time_is_that_of_the_picture_that_was_embedded_and_not_of_the_frame_with_its_number() -> None:
    """A space of a foundation model may see other pictures than the model's frames."""
    own = WindowVectors("s", _FRAMES[0], frames=_FRAMES, frame_times_ns=(10, 20, 30))
    frames = WindowVectors("s", _FRAMES[0], frames=_FRAMES)
    assert similarity_of(_PROMPT, WindowSources(own, frame_times_ns=(1, 2, 3))).at_ns == 30
    assert similarity_of(_PROMPT, WindowSources(frames, frame_times_ns=(1, 2, 3))).at_ns == 3
