"""The base model: pretrained networks that each look at one modality, and what is measured or repeated as it is.

It says what a picture shows, how much of the sound is speech, how loud it is, which words were said and in which
language, and where the window lies in a space of all modalities. No part of it is trained on several at once.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.models.execution.runtime import Outputs, RunOptions, TorchModel
from triptych.models.model import InputSpec, ModelInfo
from triptych.models.network.fused import FusedModel
from triptych.models.network.projection import EmbeddingHead, MomentsHead, ProjectionFusion
from triptych.models.observed.language import language_of_words
from triptych.models.observed.observations import Observer, observer_of
from triptych.models.prediction import WindowPrediction
from triptych.models.pretrained.efficientnet import FEATURES as PICTURE_FEATURES
from triptych.models.pretrained.efficientnet import INPUT_PIXELS, PictureEncoder
from triptych.models.pretrained.sentence import FEATURES as TEXT_FEATURES
from triptych.models.pretrained.sentence import SentenceEncoder
from triptych.models.pretrained.silero import FEATURES as SPEECH_FEATURES
from triptych.models.pretrained.silero import SAMPLE_RATE_HZ, SpeechEncoder
from triptych.models.pretrained.tokens import SentenceTokenizer
from triptych.models.pretrained.weights import (
    EFFICIENTNET_LITE0,
    SENTENCE_ENCODER,
    SENTENCE_PIECES,
    SILERO_VAD,
    WHOLE_FILE,
    load_weights,
)
from triptych.models.window import PreparedWindow

NAME = "base"
VERSION = "2"
_EMBEDDING_HEAD = "embedding"
_MOMENTS_HEAD = "moments"
_TEXT_TOKENS = 256
"""Of all cues of a window together; a long cue has about twenty."""
_EMBEDDING_DIGITS = 5
"""Of each number of an embedding: what lies beyond is noise of the arithmetic, and makes results twice as long."""


def base_spec(frames: int) -> InputSpec:
    """Return how windows are prepared for the base model; the number of pictures is free."""
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
        UsageError: the weights are not there.
    """
    observer = observer_of(("video", "audio"), weights_folder=weights_folder)
    tokenize = SentenceTokenizer(load_weights(SENTENCE_PIECES, weights_folder)[WHOLE_FILE])
    fusion = ProjectionFusion({"video": PICTURE_FEATURES, "audio": SPEECH_FEATURES, "text": TEXT_FEATURES})
    network = FusedModel(
        encoders={
            "video": PictureEncoder(load_weights(EFFICIENTNET_LITE0, weights_folder)),
            "audio": SpeechEncoder(load_weights(SILERO_VAD, weights_folder)),
            "text": SentenceEncoder(load_weights(SENTENCE_ENCODER, weights_folder)),
        },
        heads={
            **observer.heads,
            _EMBEDDING_HEAD: EmbeddingHead(),
            _MOMENTS_HEAD: MomentsHead(fusion),
        },
        fusion=fusion,
    )
    return TorchModel(
        network,
        _Describer(observer),
        info=_info(),
        spec=base_spec(frames),
        options=replace(options, tokenize=tokenize),
    )


def _info() -> ModelInfo:
    weights = (EFFICIENTNET_LITE0, SILERO_VAD, SENTENCE_ENCODER, SENTENCE_PIECES)
    digest = hashlib.sha256("".join(weight.sha256 for weight in weights).encode()).hexdigest()
    return ModelInfo(NAME, VERSION, digest)


class _Describer:
    """Turn what the heads say of a window into a prediction, and add what no network is needed for."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def __call__(self, window: PreparedWindow, outputs: Outputs) -> WindowPrediction:
        return replace(
            self._observer.describe(window, outputs, sample_rate_hz=SAMPLE_RATE_HZ),
            words=window.cues,
            language=language_of_words(window.cues),
            embedding=_rounded(outputs[_EMBEDDING_HEAD]),
            moments=tuple(_rounded(moment) for moment in outputs[_MOMENTS_HEAD][: max(1, len(window.frames_hwc_u8))]),
        )


def _rounded(vector: NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(vector.astype(np.float64).round(_EMBEDDING_DIGITS).tolist())
