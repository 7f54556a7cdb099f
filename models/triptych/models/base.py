"""The base model: pretrained networks for single modalities, plus measurements that need no network.

It labels the frames, measures the shares of sounds and the loudness of the audio, repeats the cues with their language,
and embeds frames, sounds and words in the semantic space (`spaces/semantic.py`), in which texts find windows.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from triptych.models.execution.runtime import Outputs, RunOptions, TorchModel
from triptych.models.model import InputSpec, ModelInfo
from triptych.models.network.fused import FusedModel
from triptych.models.observed.language import begin_to_load_languages, cue_language
from triptych.models.observed.observations import Observer, build_observer
from triptych.models.prediction import WindowPrediction
from triptych.models.pretrained.efficientnet import INPUT_PIXELS, ImageEncoder
from triptych.models.pretrained.sentence_loading import load_sentence_encoder, load_sentence_tokenizer
from triptych.models.pretrained.silero import SAMPLE_RATE_HZ, SpeechEncoder
from triptych.models.pretrained.weights import (
    EFFICIENTNET_LITE0,
    SENTENCE_ENCODER,
    SENTENCE_PIECES,
    SILERO_VAD,
    SOUND_EVENTS,
    load_weights,
)
from triptych.models.spaces.semantic_weights import semantic_sha256
from triptych.models.window import PreparedWindow

NAME = "base"
VERSION = "3"
_TEXT_TOKENS = 256
"""For all cues of a window together; a long cue has about twenty tokens."""


def base_spec(frames: int) -> InputSpec:
    """Return how windows are prepared for the base model, for any number of frames."""
    return InputSpec(
        frames=frames,
        height=INPUT_PIXELS,
        width=INPUT_PIXELS,
        sample_rate_hz=SAMPLE_RATE_HZ,
        text_tokens=_TEXT_TOKENS,
    )


def build_base_model(frames: int, options: RunOptions, *, weights_folder: Path) -> TorchModel:
    """Build the base model from the weights in the cache.

    Raises:
        UsageError: the weights were not downloaded.
    """
    begin_to_load_languages()
    observer = build_observer(("video", "audio", "text"), weights_folder=weights_folder)
    tokenize = load_sentence_tokenizer(weights_folder)
    network = FusedModel(
        encoders={
            "video": ImageEncoder(load_weights(EFFICIENTNET_LITE0, weights_folder)),
            "audio": SpeechEncoder(load_weights(SILERO_VAD, weights_folder)),
            "text": load_sentence_encoder(weights_folder),
        },
        heads=observer.heads,
    )
    return TorchModel(
        network,
        _BasePostprocessor(observer),
        info=_info(),
        spec=base_spec(frames),
        options=replace(options, tokenize=tokenize),
    )


def _info() -> ModelInfo:
    weights = (EFFICIENTNET_LITE0, SILERO_VAD, SENTENCE_ENCODER, SENTENCE_PIECES, SOUND_EVENTS)
    checksums = (*(weight.sha256 for weight in weights), semantic_sha256())
    digest = hashlib.sha256("".join(checksums).encode()).hexdigest()
    return ModelInfo(NAME, VERSION, digest)


class _BasePostprocessor:
    """Convert the outputs of the heads for one window to a prediction, and add what needs no network."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def __call__(self, window: PreparedWindow, outputs: Outputs) -> WindowPrediction:
        return replace(
            self._observer.observe(window, outputs, sample_rate_hz=SAMPLE_RATE_HZ),
            words=window.cues,
            language=cue_language(window.cues),
        )
