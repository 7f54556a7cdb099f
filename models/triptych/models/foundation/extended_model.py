"""A model of any kind, and foundation models beside it, as one model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch

from triptych.models.execution.warmup_window import full_window
from triptych.models.foundation.classifiers import AudioEvents, Emotion, Sentiment, WindowClassifier
from triptych.models.foundation.files.model_files import find_model_files
from triptych.models.foundation.sources import FoundationSources
from triptych.models.foundation.space import build_foundation_space
from triptych.models.foundation.window_space import PictureSpace, SoundSpace
from triptych.models.model import DetectionSpec, InputSpec, Model, ModelInfo
from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError


class ExtendedModel:
    """Adds what foundation models say about each window to the predictions of another model.

    Args:
        model: the other model.
        spaces: the spaces of pictures and of sounds; None for neither.
        classifiers: run in this order.
        window_ns: length of the windows, used to warm up.
    """

    def __init__(
        self,
        model: Model,
        spaces: tuple[PictureSpace | None, SoundSpace | None],
        classifiers: Sequence[WindowClassifier],
        *,
        window_ns: int,
    ) -> None:
        self._model = model
        self._picture_space, self._sound_space = spaces
        self._classifiers = tuple(classifiers)
        self._window_ns = window_ns

    @property
    def info(self) -> ModelInfo:
        """The identity of the model; the checksum covers the files of the foundation models too."""
        info = self._model.info
        named = [
            (type(part).__name__, part.sha256)
            for part in (self._picture_space, self._sound_space, *self._classifiers)
            if part is not None
        ]
        lines = [info.sha256, *(f"{name} {sha256}" for name, sha256 in named)]
        return replace(info, sha256=hashlib.sha256("\n".join(lines).encode()).hexdigest())

    @property
    def spec(self) -> InputSpec:
        """How windows must be prepared: as for the model, and with pictures if the space of pictures wants them."""
        spec = self._model.spec
        if self._picture_space is None or spec.detection is not None or not spec.frames:
            return spec
        return replace(spec, detection=DetectionSpec(spec.frames, self._picture_space.encoder.max_side))

    def warm(self) -> None:
        """Warm up all models."""
        self._model.warm()
        self.predict([full_window(self._window_ns, self.spec)])

    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        """Return one prediction per window, in order. Raises what any of the models raises."""
        predictions = self._model.predict(windows)
        if self._picture_space is not None:
            seen = self._picture_space.embed_windows(windows)
            predictions = [replace(one, vectors=own) for one, own in zip(predictions, seen, strict=True)]
        if self._sound_space is not None:
            heard = self._sound_space.embed_windows(windows)
            predictions = [replace(one, sound_vectors=own) for one, own in zip(predictions, heard, strict=True)]
        for classifier in self._classifiers:
            predictions = [classifier.extend(*pair) for pair in zip(windows, predictions, strict=True)]
        return predictions


def extend_model(model: Model, sources: FoundationSources, device: torch.device, *, window_ns: int) -> ExtendedModel:
    """Load the foundation models and compose them with a model.

    Args:
        model: the model.
        sources: the sources of the foundation models.
        device: the device that the foundation models run on.
        window_ns: length of the windows.

    Raises:
        UsageError: files are not on this machine, were changed, or hold a model of another kind.
    """
    rate_hz = model.spec.sample_rate_hz
    picture_space = sound_space = None
    if sources.picture_space:
        space = build_foundation_space(sources.picture_space, device, window_rate_hz=rate_hz)
        if not isinstance(space, PictureSpace):
            raise UsageError(f"model.picture_space: expected a space of pictures, got one of sounds, {space.name}")
        picture_space = space
    if sources.sound_space:
        space = build_foundation_space(sources.sound_space, device, window_rate_hz=rate_hz)
        if not isinstance(space, SoundSpace):
            raise UsageError(f"model.sound_space: expected a space of sounds, got one of pictures, {space.name}")
        sound_space = space
    classifiers = _classifiers(sources, device, rate_hz)
    return ExtendedModel(model, (picture_space, sound_space), classifiers, window_ns=window_ns)


def _classifiers(sources: FoundationSources, device: torch.device, rate_hz: int) -> list[WindowClassifier]:
    found: list[WindowClassifier] = []
    if sources.audio_events:
        found.append(AudioEvents(find_model_files(sources.audio_events), device, window_rate_hz=rate_hz))
    if sources.emotion:
        found.append(Emotion(find_model_files(sources.emotion), device, window_rate_hz=rate_hz))
    if sources.sentiment:
        found.append(Sentiment(find_model_files(sources.sentiment), device))
    return found
