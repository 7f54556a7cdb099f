"""A model without a network, to test the pipeline and to measure it without inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.models.model import InputSpec, ModelInfo
from triptych.models.prediction import WindowPrediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triptych.models.window import PreparedWindow

NULL_SHA256 = "0" * 64


class NullModel:
    """Return the cues of each window and predict nothing for video and audio."""

    def __init__(self, spec: InputSpec) -> None:
        """Store the input spec that the model reports."""
        self.info = ModelInfo(name="null", version="1", sha256=NULL_SHA256)
        self.spec = spec

    def warm(self) -> None:
        """Do nothing: there is no network to warm up."""

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Return the cues of each window as `words`."""
        return [WindowPrediction(words=window.cues) for window in windows]
