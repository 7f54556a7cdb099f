"""Vectors of windows in the semantic space: what is fused, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from triptych.models.build import ModelChoice, build_model
from triptych.models.model import Model
from triptych.models.prediction import PredictedLabel
from triptych.models.spaces.semantic import build_semantic_space
from triptych.models.spaces.semantic_weights import SPACE, load_semantic_weights
from triptych.models.spaces.semantic_windows import FRAMES_HEAD, WORDS_HEAD, SemanticWindows, fuse
from triptych.models.window import PreparedCue, PreparedWindow

Picture = Callable[[str], NDArray[np.uint8]]
MakeWindow = Callable[..., PreparedWindow]
CUE = PreparedCue("A rocket stands on the launch pad", 0, 3_000_000_000)
OTHER_CUE = PreparedCue("一只猫在睡觉", 0, 3_000_000_000)
SPEECH = (PredictedLabel("speech", 0.9),)


def length(vector: NDArray[np.float32] | None) -> float:
    """Return the length of a vector that must be there."""
    assert vector is not None
    return float(np.linalg.norm(vector))


def test_each_modality_that_is_present_has_a_vector(
    base_model: Model, picture: Picture, make_window: MakeWindow
) -> None:
    """The fused vector is the normalised sum of those of the pictures and of the words."""
    window = make_window([picture("cat"), picture("coffee")], cues=(CUE, OTHER_CUE))
    (prediction,) = base_model.predict([window])
    vectors = prediction.vectors
    assert vectors is not None
    assert vectors.space == SPACE
    assert vectors.audio is None
    assert vectors.frames is not None
    assert vectors.frames.shape == (2, 512)
    assert [length(one) for one in (vectors.video, vectors.subtitles, vectors.fused)] == pytest.approx(
        [1] * 3, abs=1e-5
    )
    assert vectors.video is not None
    assert vectors.subtitles is not None
    total = vectors.video + vectors.subtitles
    np.testing.assert_allclose(vectors.fused, total / np.linalg.norm(total), atol=1e-6)
    frames = vectors.frames.sum(0)
    np.testing.assert_allclose(vectors.video, frames / np.linalg.norm(frames), atol=1e-6)


def test_a_missing_modality_does_not_count(base_model: Model, picture: Picture, make_window: MakeWindow) -> None:
    """A window with pictures only is fused from them alone, in a batch with a window of words only."""
    seen, read, nothing = base_model.predict(
        [make_window([picture("cat")]), make_window(cues=(CUE,)), make_window(sound=np.zeros(32_000, np.float32))]
    )
    assert seen.vectors is not None
    assert read.vectors is not None
    assert seen.vectors.video is not None
    assert read.vectors.subtitles is not None
    np.testing.assert_allclose(seen.vectors.fused, seen.vectors.video, atol=1e-6)
    np.testing.assert_allclose(read.vectors.fused, read.vectors.subtitles, atol=1e-6)
    assert (seen.vectors.subtitles, read.vectors.video, read.vectors.frames) == (None, None, None)
    assert nothing.vectors is None or nothing.vectors.audio is not None


def test_vectors_do_not_depend_on_the_batch(base_model: Model, picture: Picture, make_window: MakeWindow) -> None:
    """A window has the same vectors alone and beside others."""
    window = make_window([picture("cat")], cues=(CUE,))
    other = make_window([picture("rocket"), picture("coffee")], cues=(OTHER_CUE, CUE))
    alone, beside = base_model.predict([window])[0].vectors, base_model.predict([other, window])[1].vectors
    assert alone is not None
    assert beside is not None
    np.testing.assert_allclose(alone.fused, beside.fused, atol=1e-5)


def test_words_have_the_vector_of_the_same_text(
    base_model: Model, make_window: MakeWindow, weights_folder: Path
) -> None:
    """So a prompt with the words of a cue finds the cue."""
    (prediction,) = base_model.predict([make_window(cues=(CUE,))])
    assert prediction.vectors is not None
    text = build_semantic_space(weights_folder).embed_texts([CUE.text])[0]
    np.testing.assert_allclose(prediction.vectors.subtitles, text, atol=1e-5)


def test_the_space_embeds_windows_as_the_model_does(
    base_model: Model, picture: Picture, make_window: MakeWindow, weights_folder: Path
) -> None:
    """`embed_windows` of the space and the predictions of the base model are equal; nothing is None."""
    space = build_semantic_space(weights_folder, frames=2)
    windows = [make_window([picture("cat")], cues=(CUE,)), make_window()]
    theirs, nothing = space.embed_windows(windows)
    ours = base_model.predict(windows)[0].vectors
    assert ours is not None
    assert theirs is not None
    assert nothing is None
    np.testing.assert_allclose(theirs.fused, ours.fused, atol=1e-5)
    assert space.name == ours.space


def test_sounds_are_the_sum_of_their_names_by_score(make_window: MakeWindow) -> None:
    """A sound without a name in the space is left out; without any, there is no vector."""
    weights = load_semantic_weights()
    windows = SemanticWindows(weights, {})
    named = dict(zip(weights.sounds, weights.sound_vectors.numpy(), strict=True))
    sounds = (PredictedLabel("music", 0.8), PredictedLabel("speech", 0.2), PredictedLabel("no such sound", 1.0))
    vectors = windows.vectors(make_window(), {}, sounds)
    assert vectors is not None
    expected = 0.8 * named["music"] + 0.2 * named["speech"]
    np.testing.assert_allclose(vectors.audio, expected / np.linalg.norm(expected), atol=1e-6)
    assert windows.vectors(make_window(), {}, sounds[2:]) is None


def test_sounds_count_less_than_pictures_and_words(picture: Picture, make_window: MakeWindow) -> None:
    """The fused vector is nearer to each of the others than to the sounds."""
    east, north = np.eye(512, dtype=np.float32)[:2]
    windows = SemanticWindows(load_semantic_weights(), {})
    window = make_window([picture("cat")], cues=(CUE,))
    vectors = windows.vectors(window, {FRAMES_HEAD: east[None], WORDS_HEAD: north}, SPEECH)
    assert vectors is not None
    assert vectors.audio is not None
    assert vectors.fused @ vectors.audio < 0.5 < min(vectors.fused @ east, vectors.fused @ north)
    total = sum(weight * getattr(vectors, modality) for modality, weight in vectors.weights.items())
    np.testing.assert_allclose(vectors.fused, total / np.linalg.norm(total), atol=1e-6)
    silent = windows.vectors(window, {FRAMES_HEAD: east[None]}, ())
    assert silent is not None
    assert list(silent.weights) == ["video"]


def test_nothing_is_fused_of_nothing() -> None:
    """Absent modalities do not become zeros."""
    assert fuse({"video": None, "audio": None, "subtitles": None}) is None


@pytest.mark.usefixtures("weights_folder")
def test_a_trained_model_with_frozen_encoders_has_the_same_vectors(
    base_model: Model, picture: Picture, make_window: MakeWindow
) -> None:
    """Beside the embedding of its own."""
    trained = build_model(ModelChoice("content", frames=4, window_ns=2_000_000_000, device="cpu", max_batch=2))
    window = make_window([picture("cat"), picture("coffee")], cues=(CUE,))
    ours, theirs = base_model.predict([window])[0], trained.predict([window])[0]
    assert ours.vectors is not None
    assert theirs.vectors is not None
    assert (ours.embedding, theirs.embedding is not None) == (None, True)
    for name in ("fused", "video", "subtitles", "frames"):
        np.testing.assert_allclose(getattr(theirs.vectors, name), getattr(ours.vectors, name), atol=1e-4)
