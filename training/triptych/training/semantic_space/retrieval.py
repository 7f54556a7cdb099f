"""How well texts find pictures: recall at 1, 5 and 10, in cross-validation over motifs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.models.spaces.semantic_heads import PictureProjector, TextCentring
from triptych.training.content_model.cross_validation import SEEDS, split_folds
from triptych.training.content_model.features import ALL_LANGUAGES, StampFeatures
from triptych.training.data.pools.cache import TrackProgress, no_progress
from triptych.training.semantic_space.fit import NameVectors, caption_vectors, fit_space

DEPTHS: Final = (1, 5, 10)


@dataclass(frozen=True, slots=True)
class LanguageRecall:
    """Recall at each of `DEPTHS` for captions of one language, means over the seeds.

    Attributes:
        language: language of the captions.
        queries: number of captions.
        recall: the share of captions with a picture of their motif among the best.
        deviation: standard deviation over the seeds.
    """

    language: str
    queries: int
    recall: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SpaceValidation:
    """All results.

    Attributes:
        by_language: recall by language.
        chance: recall at each of `DEPTHS` of a random order.
        pool: mean number of pictures that a caption is compared with.
    """

    by_language: tuple[LanguageRecall, ...]
    chance: tuple[float, ...]
    pool: float


def validate_space(
    features: StampFeatures,
    names: NameVectors,
    classifier: Mapping[str, Tensor],
    seeds: Sequence[int] = SEEDS,
    track: TrackProgress[Any] = no_progress,
) -> SpaceValidation:
    """Train and test on every fold by motif for every seed. A fold's captions are compared with its own pictures only.

    Args:
        features: tokens of all stamps.
        names: sentence vectors of the names of labels.
        classifier: the weights of the picture encoder.
        seeds: seeds of the folds.
        track: shows progress.
    """
    hits = np.zeros((len(seeds), len(ALL_LANGUAGES), len(DEPTHS)))
    pools, chances = [], []
    for index, seed in enumerate(seeds):
        for train, test in track(list(split_folds(features, seed)), f"seed {seed}"):
            weights = fit_space(features, train, names, {})
            with torch.no_grad():
                pictures = PictureProjector(weights, classifier)(features.video[test, 0])
            centring = TextCentring(weights)
            pools.append(len(test))
            chances.append(_chance(features.groups[test].numpy()))
            for language in range(len(ALL_LANGUAGES)):
                rows = test[features.has_text[test, language]]
                found = _hits(caption_vectors(features, rows, language, centring), pictures)
                same = features.groups[test][found] == features.groups[rows][:, None]  # [Q, depth]
                hits[index, language] += [int(same[:, :depth].any(1).sum()) for depth in DEPTHS]
    queries = features.has_text.sum(0).numpy()
    shares = hits / queries[:, None]
    languages = tuple(
        LanguageRecall(
            name, int(queries[index]), tuple(shares[:, index].mean(0).tolist()), tuple(shares[:, index].std(0).tolist())
        )
        for index, name in enumerate(ALL_LANGUAGES)
    )
    return SpaceValidation(languages, tuple(np.mean(chances, 0).tolist()), float(np.mean(pools)))


def _hits(texts: Tensor, pictures: Tensor) -> Tensor:
    """Return the indices of the nearest pictures of each text, int64 [Q, depth], best first."""
    return (texts @ pictures.T).topk(min(max(DEPTHS), len(pictures)), dim=1).indices


def _chance(groups: NDArray[np.int64]) -> list[float]:
    """Return the recall of a random order at each of `DEPTHS`, mean over the pictures of a fold."""
    count = len(groups)
    same = np.bincount(groups)[groups]
    return [float(np.mean(1 - _none_among(count, same, depth))) for depth in DEPTHS]


def _none_among(count: int, same: NDArray[np.int64], depth: int) -> NDArray[np.float64]:
    """Return the probability that none of `same` pictures is among the first `depth` of `count`."""
    ranks = np.arange(min(depth, count))
    factors = np.clip((count - same[:, None] - ranks) / (count - ranks), 0, None)
    product: NDArray[np.float64] = factors.prod(1)
    return product
