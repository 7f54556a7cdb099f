"""Observations that need no training: labels of the frames, speech, sounds, loudness, and vectors of the window.

The base model consists of them. A trained model that runs the same frozen encoders adds them to its own predictions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.models.observed.loudness import integrated_loudness
from triptych.models.observed.sounds import heard_sounds
from triptych.models.observed.speech import speech_share
from triptych.models.prediction import PredictedLabel, WindowPrediction
from triptych.models.pretrained.efficientnet import LabelHead
from triptych.models.pretrained.silero import STEP_SAMPLES, SpeechHead
from triptych.models.pretrained.sound_events import SoundEventNetwork
from triptych.models.pretrained.weights import (
    EFFICIENTNET_LITE0,
    SILERO_VAD,
    SOUND_EVENTS,
    load_labels,
    load_weights,
)
from triptych.models.spaces.semantic_windows import SemanticWindows, build_semantic_windows

if TYPE_CHECKING:
    from triptych.models.execution.runtime import Outputs
    from triptych.models.network.parts import Head
    from triptych.models.window import PreparedWindow

LABELS_HEAD: Final = "labels"
SPEECH_HEAD: Final = "speech"
_TOP_LABELS: Final = 5


@dataclass(frozen=True, slots=True)
class Observer:
    """Heads that read the pretrained encoders of a network, and the conversion of their outputs to observations.

    Attributes:
        heads: the heads, by the name of their output.
        labels: the label names of the output `LABELS_HEAD`.
        sound_events: finds music and singing in the audio of each window, on the CPU; None to find none.
        space: makes the vectors of the window; None for none.
    """

    heads: Mapping[str, Head] = field(default_factory=dict)
    labels: Sequence[str] = ()
    sound_events: SoundEventNetwork | None = None
    space: SemanticWindows | None = None

    def observe(self, window: PreparedWindow, outputs: Outputs, *, sample_rate_hz: int) -> WindowPrediction:
        """Return a prediction that holds only observations.

        Args:
            window: the window.
            outputs: the outputs of its row: `LABELS_HEAD` float32 [1000], `SPEECH_HEAD` float32 [F], those of the
                space. Any may be missing.
            sample_rate_hz: sample rate of the window's audio. The loudness is computed from the samples directly.
        """
        label_scores = outputs.get(LABELS_HEAD) if window.frames_hwc_u8 else None
        audio = present_audio(window) if window.audio_present else None
        steps = None if audio is None else outputs.get(SPEECH_HEAD)
        speech = None if audio is None or steps is None else _speech_share(steps, audio.size)
        observed = WindowPrediction(
            visual=() if label_scores is None else self._top_labels(label_scores),
            speech_share=speech,
            sound=() if audio is None else self._sounds(audio, speech),
            loudness_lufs=None if audio is None else integrated_loudness(torch.from_numpy(audio), sample_rate_hz),
        )
        if self.space is None:
            return observed
        return replace(observed, vectors=self.space.vectors(window, outputs, observed.sound))

    @torch.inference_mode()
    def _sounds(self, audio: NDArray[np.float32], speech: float | None) -> tuple[PredictedLabel, ...]:
        """Return what is heard in the present samples, float32 [S]."""
        if self.sound_events is None:
            return ()
        return heard_sounds(audio, speech, self.sound_events.probabilities(torch.from_numpy(audio)).numpy())

    def _top_labels(self, scores: NDArray[np.float32]) -> tuple[PredictedLabel, ...]:
        """Return the labels with the highest scores, float32 [1000], best first."""
        best = np.argsort(-scores, kind="stable")[:_TOP_LABELS]
        return tuple(PredictedLabel(self.labels[index], float(scores[index])) for index in best)


def build_observer(modalities: Sequence[str], *, weights_folder: Path) -> Observer:
    """Return an observer for the frozen pretrained encoders of these modalities.

    Raises:
        UsageError: the weights were not downloaded.
    """
    heads: dict[str, Head] = {}
    if "video" in modalities:
        heads[LABELS_HEAD] = LabelHead(load_weights(EFFICIENTNET_LITE0, weights_folder))
    if "audio" in modalities:
        heads[SPEECH_HEAD] = SpeechHead(load_weights(SILERO_VAD, weights_folder))
    space = build_semantic_windows(modalities, weights_folder=weights_folder)
    return Observer(
        {**heads, **space.heads},
        labels=load_labels(EFFICIENTNET_LITE0, weights_folder) if LABELS_HEAD in heads else (),
        sound_events=SoundEventNetwork(load_weights(SOUND_EVENTS, weights_folder)) if SPEECH_HEAD in heads else None,
        space=space if space.heads else None,
    )


def present_audio(window: PreparedWindow) -> NDArray[np.float32]:
    """Return the present samples of a window, float32 [S'], concatenated without gaps. There must be at least one."""
    return np.concatenate([window.audio_f32[start:end] for start, end in window.audio_present])


def _speech_share(probabilities: NDArray[np.float32], samples: int) -> float:
    """Return the share of speech, given one probability per step, float32 [F].

    Steps after the end of the audio are ignored.
    """
    steps = -(-samples // STEP_SAMPLES)
    return speech_share(probabilities[:steps].tolist(), samples)
