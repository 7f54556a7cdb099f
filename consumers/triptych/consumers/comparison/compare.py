"""Compare two pipelines' results by window: which are missing on one side, and which fields differ. No I/O.

Of a window that was revised, for example completed after an outage, its last revision is compared.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

from triptych.consumers.comparison.difference import FieldDifferences, ResultDifference
from triptych.consumers.comparison.overlap import OverlapComparison, compare_overlapping
from triptych.consumers.subscription.result_buffer import Delivery
from triptych.schemas.codec import parse_result
from triptych.schemas.perception.vectors import Vectors, decode_vector, encode_vector, fused_vector

IGNORED_FIELDS: Final = frozenset({"published_ns", "arrival_ms", "stage_ms"})
"""Fields that differ between two runs over the same records."""
REVISION_FIELDS: Final = frozenset({"id", "revision", "revised", "revisable_until_ns"})
"""Fields that say how often a window was revised. What matters here is its last content."""

_MISSING: Final = "nothing"
_VECTORS: Final = ("vectors", "sound_vectors")
"""Where results have encoded vectors, which are compared by their cosine."""
_IN_VECTORS: Final = tuple(f"{name}." for name in _VECTORS)
_COSINE_DIGITS: Final = 6


@dataclass(slots=True)
class Comparison:
    """The outcome of a comparison. The ids that only one side has are in the order of publication."""

    same: int = 0
    differing: int = 0
    only_left: list[str] = field(default_factory=list)
    only_right: list[str] = field(default_factory=list)
    fields: dict[str, FieldDifferences] = field(default_factory=dict)
    overlap: OverlapComparison = field(default_factory=OverlapComparison)

    @property
    def equal(self) -> bool:
        """Whether both sides have the same results."""
        return not (self.differing or self.only_left or self.only_right)


def compare(left: Iterable[Delivery], right: Iterable[Delivery], *, tolerance: float) -> Comparison:
    """Pair results by window and compare them. Numbers within `tolerance` are equal.

    Each side has one result of each window; see `last_revisions`. A result is only held in memory until its
    counterpart arrives. Those that have none are compared by overlap.
    """
    outcome = Comparison()
    waiting: tuple[dict[str, bytes], dict[str, bytes]] = ({}, {})
    for pair in zip_longest(left, right):
        for side, delivery in enumerate(pair):
            if delivery is None:
                continue
            other = waiting[1 - side].pop(delivery.result.window, None)
            if other is None:
                waiting[side][delivery.result.window] = delivery.document
                continue
            documents = (other, delivery.document) if side else (delivery.document, other)
            one, another = map(_compared_fields, documents)
            _complete_fused_vectors(one, another)
            _note(outcome, delivery.result.id, list(differences(one, another, tolerance=tolerance)))
    alone = [[parse_result(document) for document in side.values()] for side in waiting]
    outcome.only_left, outcome.only_right = ([result.id for result in side] for side in alone)
    outcome.overlap = compare_overlapping(*alone, tolerance=tolerance)
    return outcome


def differences(left: object, right: object, path: str = "", *, tolerance: float) -> Iterator[ResultDifference]:
    """Return the differences between two JSON values. Numbers within the tolerance are equal."""
    match left, right:
        case dict(), dict():
            for name in left | right:
                inner = f"{path}.{name}" if path else str(name)
                yield from differences(left.get(name, _MISSING), right.get(name, _MISSING), inner, tolerance=tolerance)
        case list(), list() if len(left) == len(right):
            for at, (one, other) in enumerate(zip(left, right, strict=True)):
                yield from differences(one, other, f"{path}[{at}]", tolerance=tolerance)
        case str(), str() if left != right and path.startswith(_IN_VECTORS) and not path.endswith(".space"):
            cosine = _cosine(left, right)
            if 1.0 - cosine > tolerance:
                yield ResultDifference(f"{path} (cosine)", 1.0, cosine)
        case _:
            found = ResultDifference(path, left, right)
            if left != right and (found.size is None or found.size > tolerance):
                yield found


def _compared_fields(document: bytes) -> dict[str, object]:
    whole: dict[str, object] = json.loads(document)
    return {name: value for name, value in whole.items() if name not in IGNORED_FIELDS | REVISION_FIELDS}


def _complete_fused_vectors(left: dict[str, object], right: dict[str, object]) -> None:
    """Compute the fused vectors that only one of two results has: earlier workers published them, later ones do not."""
    for name in _VECTORS:
        one, other = left.get(name), right.get(name)
        if isinstance(one, dict) and isinstance(other, dict) and bool(one.get("fused")) != bool(other.get("fused")):
            for vectors in (one, other):
                vectors["fused"] = vectors.get("fused") or _fused(vectors)
                vectors.pop("weights", None)


def _fused(fields: dict[str, object]) -> str | None:
    try:
        fused = fused_vector(Vectors.model_validate(fields))
    except ValueError:  # vectors that cannot be read are compared as they are
        return None
    return None if fused is None else encode_vector(fused)


def _cosine(left: str, right: str) -> float:
    """Return the cosine of two encoded vectors; -1 if they have different lengths or are none."""
    try:
        one, other = decode_vector(left), decode_vector(right)
        product = sum(a * b for a, b in zip(one, other, strict=True))
    except ValueError:
        return -1.0
    lengths = math.sqrt(sum(a * a for a in one) * sum(b * b for b in other))
    return round(product / lengths, _COSINE_DIGITS) if lengths else -1.0


def _note(outcome: Comparison, result_id: str, found: list[ResultDifference]) -> None:
    if not found:
        outcome.same += 1
        return
    outcome.differing += 1
    largest: dict[str, ResultDifference] = {}
    for difference in found:
        name = difference.path.partition("[")[0]  # the elements of a list count as one field
        if name not in largest or (difference.size or 0) > (largest[name].size or 0):
            largest[name] = difference
    for name, difference in largest.items():
        outcome.fields.setdefault(name, FieldDifferences()).note(result_id, difference)
