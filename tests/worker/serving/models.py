"""Models with a fixed prediction that are loaded from a line of text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from triptych.models.model import InputSpec, ModelInfo
from triptych.models.null import NullModel
from triptych.models.prediction import HeadScore, WindowPrediction
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError

SPEC = InputSpec(4, 32, 32, 16_000)
WINDOW_NS = 2_000_000_000


def prediction_of(glad: float) -> WindowPrediction:
    """Return the prediction of a head with two labels, best first."""
    scores = sorted({"glad": glad, "sad": 1 - glad}.items(), key=lambda item: -item[1])
    return WindowPrediction(predictions={"mood": tuple(HeadScore(label, score, score) for label, score in scores)})


class TextModel(NullModel):
    """Predicts the same score `glad` for every window. `before` is called first."""

    def __init__(self, name: str, glad: float = 1.0, *, spec: InputSpec = SPEC) -> None:
        super().__init__(spec)
        self.info = ModelInfo(name, "1", name.encode().hex().ljust(64, "0"))
        self.glad = glad
        self.warmed = 0
        self.before: Callable[[], object] = lambda: None

    def warm(self) -> None:
        """Count the call."""
        self.warmed += 1

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Return the fixed prediction for each window."""
        self.before()
        return [replace(prediction_of(self.glad), words=window.cues) for window in windows]


def read_model(path: Path) -> TextModel:
    """Read `NAME GLAD` from a file. Raise `UsageError` if it is incomplete."""
    name, _, glad = path.read_text(encoding="utf-8").partition(" ")
    if not glad:
        raise UsageError(f"{path}: no model")
    return TextModel(name, float(glad))
