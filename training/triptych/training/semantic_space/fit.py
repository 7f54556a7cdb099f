"""Fit the weights of the semantic space: a closed form, so the same pictures and captions give the same weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from triptych.models.spaces.semantic_heads import PictureKernel, TextCentring, picture_inputs
from triptych.models.spaces.semantic_weights import SemanticWeights
from triptych.training.content_model.features import StampFeatures

SOUND_NAMES: Final[Mapping[str, str]] = {
    "silence": "silence", "speech": "a person speaking", "music": "music", "singing": "a person singing",
}  # fmt: skip
"""The labels of `observations.sound`, and the texts that name them."""
_STRENGTH: Final = 0.2
_DIRECTIONS: Final = 128
_LANGUAGE_DIRECTIONS: Final = 10
"""These settings and those of `semantic_heads` were chosen on the folds of the seeds 101 and 102."""


@dataclass(frozen=True, slots=True)
class NameVectors:
    """Sentence vectors of the names of labels.

    Attributes:
        labels: float32 [1000, 512], of the ImageNet labels.
        sounds: float32 [S, 512], of `SOUND_NAMES`, in order.
    """

    labels: Tensor
    sounds: Tensor


def fit_space(features: StampFeatures, rows: Tensor, names: NameVectors, about: Mapping[str, str]) -> SemanticWeights:
    """Return the weights of the space, learnt from some of the stamps.

    Args:
        features: tokens of all stamps.
        rows: int64 [R], the stamps to learn from.
        names: sentence vectors of the names of labels and sounds.
        about: what is written into the file beside the weights.
    """
    inputs = picture_inputs(features.video[rows, 0])  # [R, 1280]
    mean = inputs.mean(0)
    _, directions = torch.linalg.eigh((inputs - mean).T @ (inputs - mean))  # rising eigenvalues
    main = directions[:, -_DIRECTIONS:]
    text_mean, language_directions = _languages(features.text[rows], features.has_text[rows])
    weights = SemanticWeights(
        feature_mean=mean,
        feature_directions=main,
        anchors=(inputs - mean) @ main,
        projection=torch.zeros(0),
        label_vectors=torch.zeros(0),
        text_mean=text_mean,
        language_directions=language_directions,
        sound_vectors=torch.zeros(0),
        sounds=tuple(SOUND_NAMES),
        about=about,
    )
    centring = TextCentring(weights)
    labels = centring(names.labels)
    return _with_tensors(
        weights,
        projection=_project(weights, features, rows, centring),
        label_vectors=functional.normalize(labels - labels.mean(0), dim=-1),
        sound_vectors=centring(names.sounds),
    )


def _with_tensors(weights: SemanticWeights, **tensors: Tensor) -> SemanticWeights:
    return SemanticWeights(**{**weights.tensors(), **tensors}, sounds=weights.sounds, about=weights.about).rounded()


def _languages(text: Tensor, has_text: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean of the means of languages, float32 [512], and the directions in which these differ, [L, 512].

    Args:
        text: float32 [R, L, 512], captions by language.
        has_text: bool [R, L], which captions exist.
    """
    counts = has_text.sum(0).clamp(min=1).unsqueeze(-1)  # [L, 1]
    means = (text * has_text.unsqueeze(-1)).sum(0) / counts  # [L, 512]
    mean = means.mean(0)
    return mean, torch.linalg.svd(means - mean, full_matrices=False).Vh[:_LANGUAGE_DIRECTIONS]


def _project(weights: SemanticWeights, features: StampFeatures, rows: Tensor, centring: TextCentring) -> Tensor:
    """Return the coefficients of kernel ridge regression from pictures to their captions, float32 [R, 512]."""
    there = features.has_text[rows].unsqueeze(-1)
    captions = functional.normalize((centring(features.text[rows]) * there).sum(1), dim=-1)  # [R, 512]
    similarities = PictureKernel(weights)(features.video[rows, 0])  # [R, R]
    ridge = similarities.double() + _STRENGTH * torch.eye(len(rows), dtype=torch.float64)
    coefficients: Tensor = torch.linalg.solve(ridge, (captions - captions.mean(0)).double())
    return coefficients.float()


def caption_vectors(features: StampFeatures, rows: Tensor, language: int, centring: TextCentring) -> Tensor:
    """Return the captions of stamps in one language as vectors of the space, float32 [R, 512]."""
    vectors: Tensor = centring(features.text[rows, language])
    return vectors


def sound_texts() -> Sequence[str]:
    """Return the texts that name the sounds, in the order of `SOUND_NAMES`."""
    return tuple(SOUND_NAMES.values())
