"""The base model as the worker uses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from triptych.models.build import ModelChoice, build_model
from triptych.models.model import Model
from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedCue, PreparedWindow

Picture = Callable[[str], NDArray[np.uint8]]
MakeWindow = Callable[..., PreparedWindow]
WINDOW_NS = 2_000_000_000
CUE = PreparedCue("The family of Dashwood", 0, 3_000_000_000)


@pytest.fixture(scope="module")
def varied(speech: NDArray[np.float32], picture: Picture, make_window: MakeWindow) -> list[PreparedWindow]:
    """Return 16 different windows, some with a single modality."""
    pictures = [picture(name) for name in ("cat", "coffee", "rocket")]
    return [
        make_window(
            frames=[pictures[index % 3], pictures[(index + 1) % 3]][: index % 3],
            sound=speech[index * 13_000 : index * 13_000 + 32_000 - index * 1_000] if index % 4 else None,
            cues=(CUE,) if index % 5 == 0 else (),
        )
        for index in range(16)
    ]


def numbers(prediction: WindowPrediction) -> list[float]:
    """Return all numbers of a prediction."""
    scores = [score.score for score in prediction.visual]
    return scores + [value for value in (prediction.speech_share, prediction.loudness_lufs) if value is not None]


def test_a_prediction_does_not_depend_on_what_else_is_in_the_batch(
    base_model: Model, varied: list[PreparedWindow]
) -> None:
    """Predictions of single windows equal those in a batch of 16."""
    together = base_model.predict(varied)
    for window, prediction in zip(varied, together, strict=True):
        (alone,) = base_model.predict([window])
        assert [score.label for score in alone.visual] == [score.label for score in prediction.visual]
        assert numbers(alone) == pytest.approx(numbers(prediction), rel=1e-4)
        assert len(numbers(alone)) == len(numbers(prediction))
        assert (alone.embedding, alone.frame_embeddings) == (None, ())
        assert alone.sound == prediction.sound
        assert (alone.vectors is None) == (not window.frames_hwc_u8 and not window.cues and not alone.sound)
        if alone.vectors is not None and prediction.vectors is not None:
            np.testing.assert_allclose(alone.vectors.fused, prediction.vectors.fused, atol=1e-4)


def test_a_window_with_all_modalities_has_all_observations(
    base_model: Model, speech: NDArray[np.float32], picture: Picture, make_window: MakeWindow
) -> None:
    """There are five labels, best first; shares and levels are within bounds; cues are copied unchanged."""
    (prediction,) = base_model.predict([make_window([picture("cat")], speech[32_000:64_000], cues=(CUE,))])
    scores = [score.score for score in prediction.visual]
    assert prediction.visual[0].label == "Egyptian cat"
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == 5
    assert prediction.speech_share is not None
    assert 0.5 < prediction.speech_share <= 1
    assert prediction.loudness_lufs == pytest.approx(-26.4, abs=0.2)
    assert prediction.words == (CUE,)


def test_a_missing_modality_has_no_observations(
    base_model: Model, speech: NDArray[np.float32], picture: Picture, make_window: MakeWindow
) -> None:
    """Windows with a single modality, and without any, have no observations of the others."""
    seen, heard, read, nothing = base_model.predict(
        [make_window([picture("cat")]), make_window(sound=speech[:32_000]), make_window(cues=(CUE,)), make_window()]
    )
    assert (len(seen.visual), seen.speech_share, seen.loudness_lufs) == (5, None, None)
    assert (heard.visual, heard.speech_share is not None, heard.loudness_lufs is not None) == ((), True, True)
    assert replace(read, vectors=None) == WindowPrediction(words=(CUE,))
    assert nothing == WindowPrediction()


def test_silence_has_no_speech_and_no_loudness(base_model: Model, make_window: MakeWindow) -> None:
    """The share of speech of silence is 0, not None."""
    (prediction,) = base_model.predict([make_window(sound=np.zeros(32_000, np.float32))])
    assert prediction.speech_share == 0
    assert prediction.loudness_lufs is None


def test_a_single_sample_can_be_evaluated(base_model: Model, make_window: MakeWindow) -> None:
    """A single sample has no speech and no loudness."""
    (prediction,) = base_model.predict([make_window(sound=np.ones(1, np.float32))])
    assert replace(prediction, vectors=None) == WindowPrediction(speech_share=0.0)


@pytest.mark.usefixtures("weights_folder")
def test_two_installations_make_the_same_predictions(
    base_model: Model, speech: NDArray[np.float32], picture: Picture, make_window: MakeWindow
) -> None:
    """A model that is built again and warmed up makes the same predictions and has the same name."""
    again = build_model(ModelChoice("base", frames=2, window_ns=WINDOW_NS, device="cpu", max_batch=1))
    again.warm()
    window = make_window([picture("rocket"), picture("coffee")], speech[64_000:96_000])
    first, second = base_model.predict([window])[0], again.predict([window])[0]
    assert again.info == base_model.info
    assert len(again.info.sha256) == 64
    assert numbers(first) == pytest.approx(numbers(second), rel=1e-4)


def test_missing_weights_are_reported_with_the_download_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error message names the command that downloads the weights."""
    from triptych.schemas.errors import UsageError

    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match="triptych models pull"):
        build_model(ModelChoice("base", frames=1, window_ns=WINDOW_NS, device="cpu"))
