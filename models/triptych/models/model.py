"""The protocol between the worker and its models: prepared windows in, predictions out.

The worker's inference thread owns the model. No other thread calls it.
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
    """Identity of a model, written into every result.

    Attributes:
        name: the model's name.
        version: the model's version.
        sha256: a checksum that changes whenever any weight changes.
    """

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class FeatureShape:
    """Shape of the precomputed features of one modality: float32 [T, D], T <= `steps` and D = `dims`."""

    modality: str
    steps: int
    dims: int


@dataclass(frozen=True, slots=True)
class DetectionSpec:
    """Which pictures detectors see, and what they find.

    Attributes:
        pictures: the maximum number of pictures per window, evenly spaced; they need not be frames of the model.
        max_side: maximum length in pixels of the longer side. Larger pictures are reduced, smaller ones are not
            enlarged.
        labels: what is found; empty if that is not known.
    """

    pictures: int
    max_side: int
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class InputSpec:
    """How windows must be prepared for a model.

    Attributes:
        frames: the maximum number of RGB frames per window.
        height: height of each frame in pixels.
        width: width of each frame in pixels.
        sample_rate_hz: sample rate of the mono audio.
        text_tokens: the maximum number of text tokens that the model reads; 0 if it does not read text.
        features: precomputed features that the model reads instead of the media of these modalities. Such a model can
            be trained and evaluated, but not served, because no stream carries features.
        detection: the pictures that detectors see beside the frames; None without detectors.
    """

    frames: int
    height: int
    width: int
    sample_rate_hz: int
    text_tokens: int = 0
    features: tuple[FeatureShape, ...] = ()
    detection: DetectionSpec | None = None

    def differences_from(self, other: InputSpec) -> str:
        """Describe how this spec differs from the one that windows were prepared for. Return "" if those windows fit.

        `text_tokens` is not compared: a prepared window holds the whole text, and each model truncates it itself.
        """
        names = ("frames", "height", "width", "sample_rate_hz")
        pairs = [(name, getattr(self, name), getattr(other, name)) for name in names]
        return ", ".join(f"{name} {ours} instead of {theirs}" for name, ours, theirs in pairs if ours != theirs)


class Model(Protocol):
    """A model that predicts windows. It is not thread-safe: one thread makes all calls."""

    @property
    def info(self) -> ModelInfo:
        """Return the identity of the model."""

    @property
    def spec(self) -> InputSpec:
        """Return how windows must be prepared. The worker reads it once, before the first window."""

    def warm(self) -> None:
        """Run each batch size once. The worker calls this before it reports that it is ready."""

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Return one prediction per window, in order. The other windows of a batch do not affect a prediction.

        The number of windows is not limited and may be zero. All windows of one call have the same length.
        """
