"""Classifiers of sounds and words, of tiny random models: equal to the library's pipelines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.foundation import tiny_models
from triptych.models.foundation.classifiers import AudioEvents, Emotion, Sentiment
from triptych.models.foundation.files.model_files import find_model_files
from triptych.models.prediction import HeadScore, WindowPrediction
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.schemas.errors import UsageError

CPU = torch.device("cpu")
RATE = 16_000
NS = 1_000_000_000


def window(*, seconds: float = 2, words: str = "", seed: int = 0, share: float = 1.0) -> PreparedWindow:
    """Return a window with noise in its first part, and words."""
    samples = int(seconds * RATE)
    present = int(samples * share)
    audio = np.zeros(samples, np.float32)
    audio[:present] = np.random.default_rng(seed).normal(0, 0.1, present)
    return PreparedWindow(
        stream="s",
        start_ns=0,
        end_ns=int(seconds * NS),
        frames_hwc_u8=(),
        frame_times_ns=(),
        audio_f32=audio,
        audio_present=((0, present),) if present else (),
        cues=(PreparedCue(words, 0, NS),) if words else (),
    )


def test_events_are_those_of_the_library_pipeline(tmp_path: Path) -> None:
    """Events are those of the library pipeline."""
    import transformers

    folder = tiny_models.tiny_ast(tmp_path)
    one = window()
    found = AudioEvents(find_model_files(f"folder:{folder}"), CPU, window_rate_hz=RATE).extend(one, WindowPrediction())
    pipeline = transformers.pipeline(
        "audio-classification",
        model=transformers.ASTForAudioClassification.from_pretrained(folder),
        feature_extractor=transformers.AutoFeatureExtractor.from_pretrained(folder),
    )
    expected = pipeline(one.audio_f32, function_to_apply="sigmoid", top_k=3)
    assert [event.label for event in found.sound] == [each["label"] for each in expected]
    assert [event.score for event in found.sound] == pytest.approx([each["score"] for each in expected], abs=1e-5)


def test_an_event_of_a_long_window_has_its_best_score(tmp_path: Path) -> None:
    """An event of a long window has its best score."""
    own = AudioEvents(find_model_files(f"folder:{tiny_models.tiny_ast(tmp_path)}"), CPU, window_rate_hz=RATE)
    long = window(seconds=20, seed=1)
    halves = []
    for start in (0, 10 * RATE):
        half = window(seconds=10)
        half.audio_f32[:] = long.audio_f32[start : start + 10 * RATE]
        halves.append({event.label: event.score for event in own.extend(half, WindowPrediction()).sound})
    for event in own.extend(long, WindowPrediction()).sound:
        assert event.score == pytest.approx(max(half[event.label] for half in halves), abs=1e-5)


def test_emotion_is_that_of_the_library_pipeline_and_needs_speech(tmp_path: Path) -> None:
    """Emotion is that of the library pipeline and needs speech."""
    import transformers

    folder = tiny_models.tiny_wav2vec2(tmp_path)
    own = Emotion(find_model_files(f"folder:{folder}"), CPU, window_rate_hz=RATE)
    one = window()
    spoken = WindowPrediction(speech_share=0.5, predictions={"target": (HeadScore("x", 1.0, None),)})
    found = own.extend(one, spoken).predictions
    pipeline = transformers.pipeline(
        "audio-classification",
        model=transformers.AutoModelForAudioClassification.from_pretrained(folder),
        feature_extractor=transformers.AutoFeatureExtractor.from_pretrained(folder),
    )
    expected = [(each["label"], each["score"]) for each in pipeline(one.audio_f32)]
    assert found is not None
    assert [(each.label, pytest.approx(each.score, abs=1e-5)) for each in found["speech_emotion"]] == expected
    assert found["target"] == (HeadScore("x", 1.0, None),)
    silent = WindowPrediction(speech_share=0.1)
    assert own.extend(one, silent) is silent
    assert own.extend(one, WindowPrediction()).predictions  # nobody measured the speech


@pytest.mark.parametrize("share", [0.0, 0.02])
def test_too_little_audio_is_not_classified(tmp_path: Path, share: float) -> None:
    """Too little audio is not classified."""
    own = AudioEvents(find_model_files(f"folder:{tiny_models.tiny_ast(tmp_path)}"), CPU, window_rate_hz=RATE)
    nothing = WindowPrediction()
    assert own.extend(window(share=share), nothing) is nothing


def test_sentiment_is_that_of_the_library_pipeline_and_a_long_text_is_cut_off(tmp_path: Path) -> None:
    """Sentiment is that of the library pipeline and a long text is cut off."""
    import transformers

    folder = tiny_models.tiny_xlm_r(tmp_path)
    own = Sentiment(find_model_files(f"folder:{folder}"), CPU)
    classify = transformers.pipeline(
        "text-classification",
        model=transformers.AutoModelForSequenceClassification.from_pretrained(folder),
        tokenizer=transformers.AutoTokenizer.from_pretrained(folder),
    )
    text = "the dog barks in rain"
    found = own.extend(window(words=text), WindowPrediction()).predictions
    assert found is not None
    expected = [(each["label"], each["score"]) for each in classify(text, top_k=3)]
    assert [(each.label, pytest.approx(each.score, abs=1e-5)) for each in found["text_sentiment"]] == expected
    assert own.extend(window(words="dog " * 500), WindowPrediction()).predictions
    nothing = WindowPrediction()
    assert own.extend(window(), nothing) is nothing


def test_a_model_without_a_classifier_is_refused(tmp_path: Path) -> None:
    """A model without a classifier is refused."""
    files = find_model_files(f"folder:{tiny_models.tiny_siglip(tmp_path)}")
    with pytest.raises(UsageError, match="cannot load it as AutoModelForAudioClassification"):
        AudioEvents(files, CPU, window_rate_hz=RATE)
