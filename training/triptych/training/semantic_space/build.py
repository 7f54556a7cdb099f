"""Build the semantic space: stamps to tokens, fitted weights, cross-validation, and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from triptych.models.pretrained.sentence import SentenceEncoder
from triptych.models.pretrained.tokenizer import SentenceTokenizer
from triptych.models.pretrained.weights import (
    EFFICIENTNET_LITE0,
    FILE_TENSOR,
    SENTENCE_ENCODER,
    SENTENCE_PIECES,
    load_labels,
    load_weights,
)
from triptych.models.spaces.semantic_weights import SPACE
from triptych.training.content_model.build import FEATURES_FILE, cached_features
from triptych.training.content_model.collection import read_stamps
from triptych.training.content_model.features import StampFeatures
from triptych.training.data.labelled_windows import ReadClip
from triptych.training.data.pools.cache import TrackProgress, no_progress
from triptych.training.semantic_space.fit import NameVectors, fit_space, sound_texts
from triptych.training.semantic_space.report import write_space_report
from triptych.training.semantic_space.retrieval import SpaceValidation, validate_space

WEIGHTS_FILE: Final = "semantic.safetensors"
LICENCE_NOTICE: Final = (
    "Learnt from the stamps of Tux Paint (tuxpaint-stamps-default), pictures and captions under the GPL-2. Neither are "
    "in the file: it has 128 numbers and 512 coefficients for each picture, and vectors of the ImageNet label names."
)


@dataclass(frozen=True, slots=True)
class BuiltSpace:
    """The paths of the weights and of the plot, and the results of cross-validation."""

    weights: Path
    plot: Path
    found: SpaceValidation


def build_space(
    stamps_folder: Path,
    out: Path,
    *,
    weights_folder: Path,
    read: ReadClip,
    track: TrackProgress[Any] = no_progress,
) -> BuiltSpace:
    """Fit the space to all stamps, evaluate it in cross-validation, and write weights and report into a folder.

    Raises:
        UsageError: the stamps or the pretrained weights are missing.
    """
    stamps = read_stamps(stamps_folder)
    features = StampFeatures.load(cached_features(stamps, weights_folder, read, track) / FEATURES_FILE)
    names = name_vectors(weights_folder)
    about = {"space": SPACE, "notice": LICENCE_NOTICE, "stamps": str(len(stamps)), "command": "triptych space"}
    weights = fit_space(features, torch.arange(len(features.label)), names, about)
    out.mkdir(parents=True, exist_ok=True)
    weights.save(out / WEIGHTS_FILE)
    classifier = load_weights(EFFICIENTNET_LITE0, weights_folder)
    found = validate_space(features, names, classifier, track=track)
    return BuiltSpace(out / WEIGHTS_FILE, write_space_report(found, out), found)


def name_vectors(weights_folder: Path) -> NameVectors:
    """Return sentence vectors of the names of ImageNet labels and of sounds.

    Raises:
        UsageError: the pretrained weights are missing.
    """
    encoder = SentenceEncoder(load_weights(SENTENCE_ENCODER, weights_folder)).eval()
    tokenize = SentenceTokenizer(load_weights(SENTENCE_PIECES, weights_folder)[FILE_TENSOR])

    @torch.no_grad()
    def encoded(texts: Sequence[str]) -> Tensor:
        return torch.stack([encoder.encode(torch.tensor(tokenize(text)))[0] for text in texts])

    return NameVectors(encoded(load_labels(EFFICIENTNET_LITE0, weights_folder)), encoded(sound_texts()))
