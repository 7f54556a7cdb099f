"""Which labels of detections a prompt names: by its words, by the vector of its text, or by either.

Run it with `python -m benchmarks.label_names`. Each query of `label_queries.toml` is compared with each label of the
default detector. A pair is right or wrong; a query finds its label, and finds others by mistake. Half of the labels
(and of the queries that name none) choose the threshold of the vectors by F1, and the other half is measured; then the
halves change places.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from triptych.models.detection.default_detector import DEFAULT_LABELS
from triptych.models.pretrained.download.cache import cache_folder
from triptych.models.spaces.semantic import build_semantic_space
from triptych.worker.matching.label_words import label_words, names_label

QUERIES: Final = Path(__file__).with_name("label_queries.toml")
KINDS: Final = ("plain", "other", "zh")
THRESHOLDS: Final = tuple(np.arange(0.20, 0.96, 0.01).round(2).tolist())

Named = Callable[["Query", str], bool]


@dataclass(frozen=True, slots=True)
class Query:
    """A text, the label that it names (None for none), and labels that do not count."""

    text: str
    kind: str
    label: str | None
    either: frozenset[str] = frozenset()


@dataclass(slots=True)
class Counts:
    """Pairs of queries and labels: found and right, found and wrong, and missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    def add(self, other: Counts) -> None:
        """Add the pairs of another count."""
        self.right, self.wrong, self.missed = (
            self.right + other.right,
            self.wrong + other.wrong,
            self.missed + other.missed,
        )

    @property
    def recall(self) -> float:
        """The share of the queries that find their label."""
        return self.right / max(1, self.right + self.missed)

    @property
    def precision(self) -> float:
        """The share of the labels found that are right."""
        return self.right / max(1, self.right + self.wrong)

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.right / max(1, 2 * self.right + self.wrong + self.missed)


def read_queries() -> list[Query]:
    """Return all queries, those of each label together."""
    document = tomllib.loads(QUERIES.read_text(encoding="utf-8"))
    queries = [
        Query(text, kind, label, frozenset(entry.get("either", ())))
        for label, entry in document["labels"].items()
        for kind in KINDS
        for text in entry[kind]
    ]
    return queries + [
        Query(text, f"none {language}", None) for language in ("en", "zh") for text in document["none"][language]
    ]


def count(queries: Sequence[Query], named: Named) -> Counts:
    """Count the pairs of queries and labels."""
    counts = Counts()
    for query in queries:
        for label in DEFAULT_LABELS:
            if label in query.either:
                continue
            is_found, is_right = named(query, label), label == query.label
            counts.right += is_found and is_right
            counts.wrong += is_found and not is_right
            counts.missed += is_right and not is_found
    return counts


def by_words(query: Query, label: str) -> bool:
    """Return whether the text has all words of the label, as the worker compares them."""
    return names_label(label_words(query.text), label_words(label))


def cosines(queries: Sequence[Query]) -> Mapping[tuple[str, str], float]:
    """Return the cosine of each text and label in the semantic space."""
    space = build_semantic_space(cache_folder())
    texts = sorted({query.text for query in queries})
    table = space.embed_texts(texts) @ space.embed_texts(DEFAULT_LABELS).T
    return {(text, label): float(table[row, column])
            for row, text in enumerate(texts) for column, label in enumerate(DEFAULT_LABELS)}  # fmt: skip


def halves(queries: Sequence[Query]) -> tuple[list[Query], list[Query]]:
    """Return the queries of every other label, and the rest; those that name none take turns."""
    order = {label: number for number, label in enumerate(DEFAULT_LABELS)}
    side = [order[query.label] if query.label else number for number, query in enumerate(queries)]
    return tuple([q for q, own in zip(queries, side, strict=True) if own % 2 == half] for half in (0, 1))  # type: ignore[return-value]


def measured(queries: Sequence[Query], rule: Callable[[float], Named]) -> tuple[dict[str, Counts], list[float]]:
    """Return the counts by kind on the half that did not choose the threshold, and both thresholds."""
    parts, chosen = halves(queries), []
    found: dict[str, Counts] = {}
    for own, other in (parts, parts[::-1]):
        threshold = max(THRESHOLDS, key=lambda t: count(other, rule(t)).f1)
        chosen.append(threshold)
        for kind in dict.fromkeys(query.kind for query in own):
            found.setdefault(kind, Counts()).add(count([q for q in own if q.kind == kind], rule(threshold)))
    return found, chosen


def main() -> None:
    """Print a table."""
    queries = read_queries()
    table = cosines(queries)
    rules: dict[str, Callable[[float], Named]] = {
        "words": lambda _: by_words,
        "vectors": lambda t: lambda query, label: table[query.text, label] >= t,
        "either": lambda t: lambda query, label: by_words(query, label) or table[query.text, label] >= t,
        "words, else the nearest": lambda t: (
            lambda query, label: (
                by_words(query, label)
                if any(by_words(query, other) for other in DEFAULT_LABELS)
                else table[query.text, label] >= max(t, *(table[query.text, other] for other in DEFAULT_LABELS))
            )
        ),
    }
    sizes = {kind: sum(query.kind == kind for query in queries) for kind in dict.fromkeys(q.kind for q in queries)}
    sys.stdout.write(f"queries by kind: {sizes}\n")
    for name, rule in rules.items():
        found, thresholds = measured(queries, rule)
        total = Counts()
        for counts in found.values():
            total.add(counts)
        sys.stdout.write(f"{name}: F1 {total.f1:.3f}, precision {total.precision:.3f}, thresholds {thresholds}\n")
        for kind, counts in found.items():
            sys.stdout.write(f"  {kind}: recall {counts.recall:.2f}, wrong labels {counts.wrong}, n {sizes[kind]}\n")


if __name__ == "__main__":
    main()
