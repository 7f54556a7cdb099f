"""The similarity of a window to a prompt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from triptych.models.prediction import PredictedDetection, WindowVectors
from triptych.worker.matching.label_words import label_words
from triptych.worker.matching.prompt_timeline import EmbeddedPrompt, PromptDirection
from triptych.worker.matching.similarities import WindowSources, similarity_of

_FRAMES = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
_PROMPT = EmbeddedPrompt(
    "fire", "1", PromptDirection("s", np.array([0, 1], np.float32), np.zeros((0, 2), np.float32)), (), ()
)


_HEARD = np.array([0.6, 0.8], np.float32)
_ELSEWHERE = WindowVectors("sounds", np.array([0, 1], np.float32), audio=np.array([0, 1], np.float32))


def _listening(negatives: int = 0) -> EmbeddedPrompt:
    """Return the prompt with a direction in a space of sounds, in which a negative lies opposite."""
    against = np.array([[0, -1]] * negatives, np.float32).reshape(negatives, 2)
    return replace(_PROMPT, sound_direction=PromptDirection("sounds", np.array([0, 1], np.float32), against))


def test_sounds_are_compared_in_their_own_space() -> None:
    """Less the nearest negative there. The space of the windows keeps the other sources."""
    own = WindowVectors("s", _HEARD, audio=_HEARD, subtitles=_HEARD)
    found = similarity_of(_listening(), WindowSources(own, sound_vectors=_ELSEWHERE)).by_source
    assert (found.audio, found.subtitles) == (1.0, 0.8)
    assert similarity_of(_listening(1), WindowSources(own, sound_vectors=_ELSEWHERE)).by_source.audio == 2.0
    assert similarity_of(_PROMPT, WindowSources(own, sound_vectors=_ELSEWHERE)).by_source.audio == 0.8
    alone = similarity_of(replace(_listening(), direction=None), WindowSources(sound_vectors=_ELSEWHERE)).by_source
    assert (alone.video, alone.audio) == (None, 1.0)


def test_sounds_without_a_vector_in_their_space_are_missing() -> None:
    """Their similarity in another space has another scale."""
    own = WindowVectors("s", _HEARD, audio=_HEARD)
    other = replace(_ELSEWHERE, space="other sounds")
    for heard in (None, other):
        assert similarity_of(_listening(), WindowSources(own, sound_vectors=heard)).by_source.audio is None


def test_detections_count_by_the_labels_that_a_prompt_names() -> None:
    """Whether it has their words or not."""
    prompt = replace(_PROMPT, labels=frozenset({"dog"}), negative_labels=frozenset({"cat"}))
    seen = [PredictedDetection(7, label, score, (0, 0, 1, 1)) for label, score in (("dog", 0.9), ("cat", 0.4))]
    found = similarity_of(prompt, WindowSources(detections=seen))
    assert (found.by_source.detections, found.at_ns) == (0.5, 7)
    assert similarity_of(_PROMPT, WindowSources(detections=seen)).by_source.detections == 0


@pytest.mark.parametrize("labels", [frozenset[str](), frozenset({"dog"})], ids=["unknown labels", "known labels"])
def test_a_label_that_the_prompt_names_is_not_held_against_it_by_the_words_of_a_negative(
    labels: frozenset[str],
) -> None:
    """A toy dog has all words of the label "dog", and so does a dog. What only a negative names still counts."""
    prompt = replace(
        _PROMPT,
        words=(label_words("a dog"),),
        negative_words=(label_words("a toy dog"), label_words("a cat")),
        labels=labels,
    )
    dog, cat = (PredictedDetection(7, label, score, (0, 0, 1, 1)) for label, score in (("dog", 0.9), ("cat", 0.4)))
    found = similarity_of(prompt, WindowSources(detections=[dog]))
    assert (found.by_source.detections, found.at_ns) == (0.9, 7)
    assert similarity_of(prompt, WindowSources(detections=[dog, cat])).by_source.detections == 0.5
    assert similarity_of(prompt, WindowSources(detections=[cat])).by_source.detections == -0.4


def test_the_time_is_that_of_the_picture_that_was_embedded_and_not_of_the_frame_with_its_number() -> None:
    """A space of a foundation model may see other pictures than the model's frames."""
    own = WindowVectors("s", _FRAMES[0], frames=_FRAMES, frame_times_ns=(10, 20, 30))
    frames = WindowVectors("s", _FRAMES[0], frames=_FRAMES)
    assert similarity_of(_PROMPT, WindowSources(own, frame_times_ns=(1, 2, 3))).at_ns == 30
    assert similarity_of(_PROMPT, WindowSources(frames, frame_times_ns=(1, 2, 3))).at_ns == 3
