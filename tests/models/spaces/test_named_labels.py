"""Which labels of the default detector texts name in the semantic space: the figures of docs/prompts.md."""

from __future__ import annotations

import pytest

from benchmarks.label_names import KINDS, Counts, by_words, cosines, count, read_queries
from triptych.models.detection.default_detector import DEFAULT_LABELS
from triptych.models.spaces.text_space import build_text_space
from triptych.worker.matching.label_names import LabelVectors, named_labels


@pytest.mark.usefixtures("weights_folder")
def test_synonyms_and_chinese_find_their_labels() -> None:
    """Words alone find none of them. What finds nothing by words finds few labels that are wrong."""
    queries = read_queries()
    texts = sorted({query.text for query in queries} | set(DEFAULT_LABELS))
    space = build_text_space("base")
    assert space is not None
    known = LabelVectors(DEFAULT_LABELS, space.name, dict(zip(texts, space.embed_texts(texts), strict=True)))
    named = {query.text: named_labels([query.text], known) for query in queries}

    by_kind = {
        kind: count([query for query in queries if query.kind == kind], lambda query, label: label in named[query.text])
        for kind in {query.kind for query in queries}
    }
    assert by_kind["plain"].recall == 1
    assert by_kind["other"].recall > 0.55
    assert by_kind["zh"].recall > 0.75
    total = Counts()
    for counts in by_kind.values():
        total.add(counts)
    assert total.wrong <= 5
    assert count(queries, by_words).recall < 0.3
    assert {kind for kind in by_kind if not kind.startswith("none")} == set(KINDS)


@pytest.mark.usefixtures("weights_folder")
def test_the_benchmark_compares_what_the_worker_compares() -> None:
    """A text and its own label have the cosine 1."""
    queries = [query for query in read_queries() if query.text in {"a cat", "着火"}]
    table = cosines(queries)
    assert table["a cat", "cat"] > 0.9 > table["a cat", "dog"] > table["着火", "dog"]
