"""The semantic space of 16 languages: sentence vectors, in which texts find pictures, sounds and words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.models.model import Model
from triptych.models.prediction import WindowVectors
from triptych.models.spaces.semantic_texts import SemanticTexts, build_semantic_texts
from triptych.models.spaces.semantic_weights import SPACE, load_semantic_weights, semantic_sha256
from triptych.models.window import PreparedWindow
from triptych.units import NS_PER_S

_BATCH: Final = 8


class SemanticSpace:
    """The joint space of the models that run the pretrained encoders. It is not thread-safe.

    Args:
        texts: embeds texts.
        make_model: makes a model whose predictions have vectors of this space. It is called when the first window
            comes, because texts alone do not need it.
    """

    name = SPACE
    dimensions = SemanticTexts.dimensions

    def __init__(self, texts: SemanticTexts, make_model: Callable[[], Model]) -> None:
        self.sha256 = semantic_sha256()
        self._texts = texts
        self._make_model = make_model
        self._model: Model | None = None

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector of length 1 for each text, float32 [N, 512]. See `SemanticTexts.embed_texts`."""
        return self._texts.embed_texts(texts)

    def embed_windows(self, windows: Sequence[PreparedWindow]) -> list[WindowVectors | None]:
        """Return the vectors of windows that were prepared for the base model. It blocks while the encoders run."""
        if self._model is None:
            self._model = self._make_model()
        return [prediction.vectors for prediction in self._model.predict(windows)]


def build_semantic_space(weights_folder: Path, device: torch.device | None = None, *, frames: int = 4) -> SemanticSpace:
    """Load the space from the weights in the cache; on the CPU by default.

    Args:
        weights_folder: the cache folder.
        device: where texts and windows are embedded.
        frames: the maximum number of frames per window, as `base_spec` has it.

    Raises:
        UsageError: the weights were not downloaded.
    """
    device = device or torch.device("cpu")

    def make_model() -> Model:
        from triptych.models.base import build_base_model  # noqa: PLC0415 - the base model uses this package
        from triptych.models.execution.runtime import RunOptions  # noqa: PLC0415

        options = RunOptions(device, window_ns=NS_PER_S, max_batch=_BATCH)
        return build_base_model(frames, options, weights_folder=weights_folder)

    return SemanticSpace(build_semantic_texts(load_semantic_weights(), weights_folder, device), make_model)
