"""A model that sees nothing and costs nothing, for tests of the flow and for measuring it without inference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.models.model import InputSpec, ModelInfo
from triptych.models.prediction import WindowPrediction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triptych.models.window import PreparedWindow

NULL_SHA256 = "0" * 64


class NullModel:
    """Repeat the words of each window and say nothing of picture and sound."""

    def __init__(self, spec: InputSpec) -> None:
        """Take the window shape to ask for; nothing else can be chosen."""
        self.info = ModelInfo(name="null", version="1", sha256=NULL_SHA256)
        self.spec = spec

    def warm(self) -> None:
        """Do nothing: there is nothing to warm."""

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Return the cues of each window as its words."""
        return [WindowPrediction(words=window.cues) for window in windows]
