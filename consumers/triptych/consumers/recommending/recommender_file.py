"""The file of a trained recommender: safetensors with the arrays and, as bytes, a JSON document. It names no users."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from triptych.consumers.recommending.collaborative import AlsFactors, BprFactors
from triptych.consumers.recommending.ranking_features import FEATURES, KnownItems
from triptych.consumers.recommending.ranking_head import RankingHead
from triptych.files import replacing_file, why_unreadable
from triptych.schemas.errors import UsageError
from triptych.schemas.values import Count, Value

FILE_VERSION: Final = 1
_VERSION_DIGITS: Final = 12
_DOCUMENT: Final = "document"


class RecommenderDocument(Value):
    """What a file says of itself.

    `version` is a digest of the arrays and of the items. `items`, `titles`, `labels` and `languages` have the order of
    the rows of the arrays.
    """

    file_version: int = FILE_VERSION
    version: str = ""
    trained_until_ns: Count
    users: Count
    events: Count
    space: str | None
    features: tuple[str, ...] = FEATURES
    regularization: float
    alpha: float
    items: tuple[str, ...]
    titles: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    languages: tuple[str, ...]
    head_loss: float = 0.0
    shipped_head_loss: float = 0.0
    head_lists: Count = Field(default=0)


@dataclass(frozen=True, slots=True, eq=False)
class TrainedRecommender:
    """A trained recommender."""

    document: RecommenderDocument
    known: KnownItems
    head: RankingHead


def write_recommender(path: Path, trained: TrainedRecommender) -> str:
    """Write a file, and return its version. Readers see the old file or the new one.

    Raises:
        UsageError: it cannot be written.
    """
    known, head = trained.known, trained.head
    arrays: dict[str, NDArray[np.generic]] = {
        "vectors": known.vectors.astype(np.float16),
        "counts": known.counts,
        "recent_counts": known.recent_counts,
        "head.linear": head.linear,
        "head.hidden": head.hidden,
        "head.hidden_bias": head.hidden_bias,
        "head.output": head.output,
    }
    if known.als is not None and known.bpr is not None:
        arrays |= {"als": known.als.factors, "bpr": known.bpr.factors}
    version = _version(arrays, trained.document)
    document = trained.document.model_copy(update={"version": version})
    arrays[_DOCUMENT] = np.frombuffer(document.model_dump_json().encode(), np.uint8)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing_file(path) as partial:
            save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, partial)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}") from error
    return version


def read_recommender(path: Path) -> TrainedRecommender:
    """Read a file.

    Raises:
        UsageError: there is none, or it is no recommender of this version, or a damaged one.
    """
    if problem := why_unreadable(path):
        raise UsageError(problem)
    try:
        arrays = load_file(path)
        document = RecommenderDocument.model_validate_json(arrays.pop(_DOCUMENT).tobytes())
        trained = _trained(arrays, document)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        raise UsageError(
            f"{path}: expected a file that `triptych recommender train` wrote, got a document in which "
            f"{'.'.join(map(str, wrong['loc'])) or 'all'} is wrong: {wrong['msg']}"
        ) from error
    except (OSError, SafetensorError, KeyError) as error:
        raise UsageError(f"{path}: expected a file that `triptych recommender train` wrote, got: {error}") from error
    if document.file_version != FILE_VERSION or document.features != FEATURES:
        raise UsageError(
            f"{path}: expected a recommender of format {FILE_VERSION} with the features of this version; "
            "`triptych recommender train` writes a new one"
        )
    if document.version != _version(arrays, document.model_copy(update={"version": ""})):
        raise UsageError(f"{path}: expected the arrays that its version {document.version!r} names, got others")
    return trained


def _trained(arrays: Mapping[str, NDArray[np.generic]], document: RecommenderDocument) -> TrainedRecommender:
    als = bpr = None
    if "als" in arrays:
        als = AlsFactors(
            np.asarray(arrays["als"], np.float32), regularization=document.regularization, alpha=document.alpha
        )
        bpr = BprFactors(np.asarray(arrays["bpr"], np.float32))
    vectors, counts, recent = (np.asarray(arrays[name], np.float32) for name in ("vectors", "counts", "recent_counts"))
    head = RankingHead(
        *(np.asarray(arrays[f"head.{name}"], np.float32) for name in ("linear", "hidden", "hidden_bias", "output"))
    )
    return TrainedRecommender(document, KnownItems(als, bpr, vectors, counts, recent), head)


def _version(arrays: Mapping[str, NDArray[np.generic]], document: RecommenderDocument) -> str:
    found = hashlib.sha256(json.dumps(document.model_dump(mode="json") | {"version": ""}, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        found.update(name.encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:_VERSION_DIGITS]
