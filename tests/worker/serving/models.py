"""Models that are told what to say, and are read from a line of text."""

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


def saying(glad: float) -> WindowPrediction:
    """Return what a head of two labels says, best first."""
    scores = sorted({"glad": glad, "sad": 1 - glad}.items(), key=lambda item: -item[1])
    return WindowPrediction(predictions={"mood": tuple(HeadScore(label, score, score) for label, score in scores)})


class TextModel(NullModel):
    """Says how glad every window is."""

    def __init__(self, name: str, glad: float = 1.0, *, spec: InputSpec = SPEC) -> None:
        super().__init__(spec)
        self.info = ModelInfo(name, "1", name.encode().hex().ljust(64, "0"))
        self.glad = glad
        self.warmed = 0
        self.before: Callable[[], object] = lambda: None

    def warm(self) -> None:
        """Count it."""
        self.warmed += 1

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Say it of each window."""
        self.before()
        return [replace(saying(self.glad), words=window.cues) for window in windows]


def read_model(path: Path) -> TextModel:
    """Read `NAME GLAD`, as far as it is there."""
    name, _, glad = path.read_text(encoding="utf-8").partition(" ")
    if not glad:
        raise UsageError(f"{path}: no model")
    return TextModel(name, float(glad))
