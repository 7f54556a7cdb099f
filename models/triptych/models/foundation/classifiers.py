"""Classifiers of the sounds and the words of a window, by the Auto classes of the library transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.models.foundation.encoders.joint_encoder import device_of
from triptych.models.foundation.encoders.sound_parts import sound_parts
from triptych.models.foundation.files.libraries import load_pretrained, load_pretrained_model
from triptych.models.foundation.files.model_files import ModelFiles
from triptych.models.prediction import HeadScore, PredictedLabel, WindowPrediction
from triptych.models.window import PreparedWindow

EMOTION_HEAD: Final = "speech_emotion"
SENTIMENT_HEAD: Final = "text_sentiment"
_MAX_SOUND_S: Final = 10
"""Longer sounds are split evenly: AST hears 10.24 s at once, and attention over more is slow."""
_MIN_SOUND_S: Final = 0.1
"""Shorter sounds have not enough samples for the convolutions of these models."""
_MIN_SPEECH_SHARE: Final = 0.3
_TOP_EVENTS: Final = 5


class WindowClassifier(Protocol):
    """Adds what it finds in a window to the prediction of another model."""

    sha256: str

    def extend(self, window: PreparedWindow, prediction: WindowPrediction) -> WindowPrediction:
        """Return the prediction with what this classifier finds; as it is if it has nothing to look at."""


class SoundClassifier:
    """A network that classifies sounds. Each sound runs alone, so that none is padded because of another.

    Args:
        files: the files of the model.
        device: the device to run on.
        window_rate_hz: sample rate of the windows' audio.
    """

    def __init__(self, files: ModelFiles, device: torch.device, *, window_rate_hz: int) -> None:
        self._network = load_pretrained_model("AutoModelForAudioClassification", files).to(device)
        self._extractor = load_pretrained("AutoFeatureExtractor", files)
        self._window_rate_hz = window_rate_hz
        self.labels = [self._network.config.id2label[index] for index in range(self._network.config.num_labels)]
        self.sample_rate_hz = int(self._extractor.sampling_rate)
        self.max_samples = _MAX_SOUND_S * self.sample_rate_hz

    @torch.no_grad()
    def logits(self, window: PreparedWindow) -> list[torch.Tensor]:
        """Return the logits of each part of the window's audio, float32 [K]; none if there is too little audio."""
        parts = sound_parts(window, self._window_rate_hz, self)
        device = device_of(self._network)
        found = []
        for part in parts:
            if len(part) >= _MIN_SOUND_S * self.sample_rate_hz:
                inputs = self._extractor(part, sampling_rate=self.sample_rate_hz, return_tensors="pt")
                found.append(self._network(**inputs.to(device)).logits[0].float().cpu())
        return found


class AudioEvents:
    """Name the sounds of a window in `sound`: labels of events, such as those of AudioSet.

    Several events can happen at once, so each label has a probability of its own (sigmoid). Of a long window each label
    has its best score. The labels take the place of those of the other model.
    """

    def __init__(self, files: ModelFiles, device: torch.device, *, window_rate_hz: int) -> None:
        self._classifier = SoundClassifier(files, device, window_rate_hz=window_rate_hz)
        self.sha256 = files.sha256

    def extend(self, window: PreparedWindow, prediction: WindowPrediction) -> WindowPrediction:
        """Return the prediction with the best labels of the window's audio."""
        parts = self._classifier.logits(window)
        if not parts:
            return prediction
        best = best_labels(self._classifier.labels, torch.stack(parts).sigmoid().amax(0))[:_TOP_EVENTS]
        return replace(prediction, sound=tuple(PredictedLabel(label, score) for label, score in best))


class Emotion:
    """Classify the emotion of speech, under the head `speech_emotion`.

    Windows with little speech are left out, if the other model measures speech: a classifier of speech says something
    about any sound.
    """

    def __init__(self, files: ModelFiles, device: torch.device, *, window_rate_hz: int) -> None:
        self._classifier = SoundClassifier(files, device, window_rate_hz=window_rate_hz)
        self.sha256 = files.sha256

    def extend(self, window: PreparedWindow, prediction: WindowPrediction) -> WindowPrediction:
        """Return the prediction with the emotion, if there is speech."""
        if prediction.speech_share is not None and prediction.speech_share < _MIN_SPEECH_SHARE:
            return prediction
        parts = self._classifier.logits(window)
        if not parts:
            return prediction
        scores = torch.stack(parts).softmax(1).mean(0)
        return _with_head(prediction, EMOTION_HEAD, best_labels(self._classifier.labels, scores))


class Sentiment:
    """Classify the sentiment of the words, under the head `text_sentiment`.

    Words beyond the model's length are cut off.

    Args:
        files: the files of the model.
        device: the device to run on.
    """

    def __init__(self, files: ModelFiles, device: torch.device) -> None:
        self._network = load_pretrained_model("AutoModelForSequenceClassification", files).to(device)
        self._tokens = load_pretrained("AutoTokenizer", files)
        # Models of the family of RoBERTa count positions from after the padding token.
        offset = 2 if "roberta" in files.architecture else 0
        self._max_tokens = int(self._network.config.max_position_embeddings) - offset
        self._labels = [self._network.config.id2label[index] for index in range(self._network.config.num_labels)]
        self.sha256 = files.sha256

    @torch.no_grad()
    def extend(self, window: PreparedWindow, prediction: WindowPrediction) -> WindowPrediction:
        """Return the prediction with the sentiment, if there are words."""
        text = " ".join(cue.text for cue in window.cues).strip()
        if not text:
            return prediction
        inputs = self._tokens(text, truncation=True, max_length=self._max_tokens, return_tensors="pt")
        logits: Any = self._network(**inputs.to(device_of(self._network))).logits
        return _with_head(prediction, SENTIMENT_HEAD, best_labels(self._labels, logits[0].float().softmax(0).cpu()))


def best_labels(labels: Sequence[str], scores: torch.Tensor) -> list[tuple[str, float]]:
    """Return labels with their scores float [K], best first."""
    numbers: NDArray[np.float32] = scores.numpy()
    return [(labels[index], float(numbers[index])) for index in np.argsort(-numbers, kind="stable")]


def _with_head(prediction: WindowPrediction, head: str, scores: Sequence[tuple[str, float]]) -> WindowPrediction:
    found = tuple(HeadScore(label, score, None) for label, score in scores)
    return replace(prediction, predictions={**(prediction.predictions or {}), head: found})
