"""What can be said of any window without training: what its pictures show, how much of its sound is speech, how loud.

The base model is made of it, and trained models that run the same frozen encoders say it beside their own answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.models.observed.loudness import integrated_loudness
from triptych.models.observed.speech import speech_share
from triptych.models.prediction import PredictedLabel, WindowPrediction
from triptych.models.pretrained.efficientnet import LabelHead
from triptych.models.pretrained.silero import STEP_SAMPLES, SpeechHead
from triptych.models.pretrained.weights import EFFICIENTNET_LITE0, SILERO_VAD, load_labels, load_weights

if TYPE_CHECKING:
    from triptych.models.execution.runtime import Outputs
    from triptych.models.network.parts import Head
    from triptych.models.window import PreparedWindow

LABELS_HEAD: Final = "labels"
SPEECH_HEAD: Final = "speech"
_TOP_LABELS: Final = 5


@dataclass(frozen=True, slots=True)
class Observer:
    """Read observations off the pretrained encoders of a network.

    Attributes:
        heads: by the name that their numbers have among a network's outputs; each reads an encoder's own tokens.
        labels: what the numbers of `LABELS_HEAD` are about.
    """

    heads: Mapping[str, Head] = field(default_factory=dict)
    labels: Sequence[str] = ()

    def describe(self, window: PreparedWindow, outputs: Outputs, *, sample_rate_hz: int) -> WindowPrediction:
        """Return a prediction that holds observations only. Loudness needs no network, so it is always there."""
        seen = outputs.get(LABELS_HEAD) if window.frames_hwc_u8 else None
        sound = present_audio(window) if window.audio_present else None
        steps = None if sound is None else outputs.get(SPEECH_HEAD)
        return WindowPrediction(
            visual=() if seen is None else self._top_labels(seen),
            speech_share=None if sound is None or steps is None else _speech_share(steps, sound.size),
            loudness_lufs=None if sound is None else integrated_loudness(torch.from_numpy(sound), sample_rate_hz),
        )

    def _top_labels(self, scores: NDArray[np.float32]) -> tuple[PredictedLabel, ...]:
        best = np.argsort(-scores, kind="stable")[:_TOP_LABELS]
        return tuple(PredictedLabel(self.labels[index], float(scores[index])) for index in best)


def build_observer(modalities: Sequence[str], *, weights_folder: Path) -> Observer:
    """Return what observes through the pretrained encoders, untuned, of these modalities.

    Raises:
        UsageError: the weights were never pulled.
    """
    heads: dict[str, Head] = {}
    if "video" in modalities:
        heads[LABELS_HEAD] = LabelHead(load_weights(EFFICIENTNET_LITE0, weights_folder))
    if "audio" in modalities:
        heads[SPEECH_HEAD] = SpeechHead(load_weights(SILERO_VAD, weights_folder))
    return Observer(heads, load_labels(EFFICIENTNET_LITE0, weights_folder) if LABELS_HEAD in heads else ())


def present_audio(window: PreparedWindow) -> NDArray[np.float32]:
    """Return the samples that are there, put together without the gaps; there must be some."""
    return np.concatenate([window.audio_f32[start:end] for start, end in window.audio_present])


def _speech_share(probabilities: NDArray[np.float32], samples: int) -> float:
    steps = -(-samples // STEP_SAMPLES)
    return speech_share(probabilities[:steps].tolist(), samples)
