"""The seam between the worker and its models: prepared windows in, predictions out.

The worker's inference thread owns the model and is the only one that calls it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triptych.models.prediction import WindowPrediction
    from triptych.models.window import PreparedWindow


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Name a model so that a result says what made it; `sha256` changes whenever any weight does."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class FeatureShape:
    """Say what features of a modality are like: at most `steps` rows of `dims` numbers."""

    modality: str
    steps: int
    dims: int


@dataclass(frozen=True, slots=True)
class InputSpec:
    """Say what windows a model wants: at most `frames` RGB pictures of one size, mono audio at one rate.

    Of the cues it reads `text_tokens` tokens at most; 0: it does not read. A model of `features` reads these instead of
    the media of their modalities: it can be trained and measured, but no stream carries what it reads.
    """

    frames: int
    height: int
    width: int
    sample_rate_hz: int
    text_tokens: int = 0
    features: tuple[FeatureShape, ...] = ()

    def unlike(self, other: InputSpec) -> str:
        """Say in what windows that were prepared for `other` do not fit; nothing where they do.

        How much of the words is read is the model's own affair: windows hold all of them.
        """
        names = ("frames", "height", "width", "sample_rate_hz")
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in names]
        return ", ".join(f"{name} {ours} instead of {theirs}" for name, ours, theirs in pairs if ours != theirs)


class Model(Protocol):
    """Predict windows. Not thread-safe: one thread calls all of it."""

    @property
    def info(self) -> ModelInfo:
        """Name the model; written into every result."""

    @property
    def spec(self) -> InputSpec:
        """Say how windows must be prepared; read once, before the first window."""

    def warm(self) -> None:
        """Run every batch size once. The worker calls it before it says that it is ready."""

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Return one prediction for each window, in order, whatever else is in the batch.

        Any number of windows may come, none too; windows of one call have equal lengths.
        """
