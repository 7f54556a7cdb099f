"""Vectors of windows in the semantic space, from the outputs of a network that runs the pretrained encoders."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from triptych.models.prediction import PredictedLabel, WindowVectors
from triptych.models.pretrained.weights import EFFICIENTNET_LITE0, load_weights
from triptych.models.spaces.semantic_heads import FrameVectorsHead, PictureProjector, TextCentring, WordsVectorHead
from triptych.models.spaces.semantic_weights import SPACE, SemanticWeights, load_semantic_weights
from triptych.schemas.names import MODALITIES, Modality

if TYPE_CHECKING:
    from triptych.models.execution.runtime import Outputs
    from triptych.models.network.parts import Head
    from triptych.models.window import PreparedWindow

Vector = NDArray[np.float32]
FRAMES_HEAD: Final = f"{SPACE}-frames"
WORDS_HEAD: Final = f"{SPACE}-words"
"""The names of the heads name the space, because the cache of exported graphs tells heads apart by name."""
_WEIGHTS: Final[Mapping[Modality, float]] = {"video": 1.0, "audio": 0.25, "subtitles": 1.0}
"""Weights of the modalities in the fused vector. The sounds have few names, so they say little about a window."""


class SemanticWindows:
    """Heads that embed frames and words, and the vectors of a window made from their outputs.

    Attributes:
        heads: the heads, by the name of their output.
    """

    def __init__(self, weights: SemanticWeights, heads: Mapping[str, Head]) -> None:
        self.heads = heads
        vectors = weights.sound_vectors.numpy()
        self._sounds: dict[str, Vector] = dict(zip(weights.sounds, vectors, strict=True))

    def vectors(
        self, window: PreparedWindow, outputs: Outputs, sounds: Sequence[PredictedLabel]
    ) -> WindowVectors | None:
        """Return the vectors of a window; None if the space can embed nothing in it.

        Args:
            window: the window.
            outputs: the outputs of its row: `FRAMES_HEAD` float32 [T, 512], `WORDS_HEAD` float32 [512]. Either may be
                missing.
            sounds: what is heard in the window.
        """
        frames = outputs[FRAMES_HEAD][: len(window.frames_hwc_u8)] if FRAMES_HEAD in outputs else None
        frames = frames if frames is not None and len(frames) else None
        by_modality: dict[Modality, Vector | None] = {
            "video": None if frames is None else unit(frames.sum(0)),
            "audio": unit(self._sum_of_sounds(sounds)),
            "subtitles": unit(outputs[WORDS_HEAD]) if window.cues and WORDS_HEAD in outputs else None,
        }
        fused = fuse(by_modality)
        if fused is None:
            return None
        weights = {modality: _WEIGHTS[modality] for modality, vector in by_modality.items() if vector is not None}
        video, audio, subtitles = (by_modality[modality] for modality in MODALITIES)
        return WindowVectors(
            SPACE, fused, video=video, audio=audio, subtitles=subtitles, frames=frames, weights=weights
        )

    def _sum_of_sounds(self, sounds: Sequence[PredictedLabel]) -> Vector:
        """Return the vectors of the names of the sounds, weighted by their scores and added, float32 [512]."""
        total = np.zeros_like(next(iter(self._sounds.values())))
        for sound in sounds:
            if sound.label in self._sounds:
                total = total + sound.score * self._sounds[sound.label]
        return total


def fuse(by_modality: Mapping[Modality, Vector | None]) -> Vector | None:
    """Return the weighted sum of the unit vectors of the present modalities, normalised, float32 [512]."""
    present = [_WEIGHTS[modality] * vector for modality, vector in by_modality.items() if vector is not None]
    return unit(np.sum(present, 0)) if present else None


def unit(vector: Vector) -> Vector | None:
    """Return a vector float32 [D] with length 1; None for zeros."""
    length = float(np.linalg.norm(vector))
    return (vector / np.float32(length)).astype(np.float32) if length else None


def build_semantic_windows(modalities: Collection[str], *, weights_folder: Path) -> SemanticWindows:
    """Return the heads for the pretrained encoders of these modalities.

    Raises:
        UsageError: the weights were not downloaded.
    """
    weights = load_semantic_weights()
    heads: dict[str, Head] = {}
    if "video" in modalities:
        classifier = load_weights(EFFICIENTNET_LITE0, weights_folder)
        heads[FRAMES_HEAD] = FrameVectorsHead(PictureProjector(weights, classifier))
    if "text" in modalities:
        heads[WORDS_HEAD] = WordsVectorHead(TextCentring(weights))
    return SemanticWindows(weights, heads)
