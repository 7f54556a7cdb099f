"""What a search by meaning finds under conditions, of what a comparison with all rows finds.

`python -m benchmarks.search_recall DIR` reads an index that `python -m benchmarks.search --keep DIR` wrote. It compares
each query with all vectors, which takes a minute for a million windows, and prints how many of the ten nearest windows
that meet a condition are the first ten that a search for ten moments looks at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.search import (
    COMMON_WORDS,
    NEAREST,
    PARTS,
    QUERIES,
    RARE_WORDS,
    ROWS_OF_TEN,
    SEED,
    START_NS,
    STREAMS,
    WINDOW_NS,
    WRITTEN,
    GeneratedContent,
    Vectors,
)
from triptych.consumers.searching.index_store import MAX_REQUIRED_WINDOWS, RowConditions
from triptych.consumers.searching.window_index import WindowIndex

Mask = NDArray[np.bool_]

ROWS_AT_ONCE: Final = 8_192
ALL: Final = RowConditions(PARTS)


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition, other ones for each query.

    Attributes:
        of_query: returns that of a query.
        said: returns the word that must be said; None if no word must.
        meets: returns which of these rows meet those of which queries, bool [rows, Q].
    """

    of_query: Callable[[int], RowConditions]
    meets: Callable[[pa.Table], Mask]
    said: Callable[[int], str] | None = None


class Nearest:
    """The nearest windows of each query so far."""

    def __init__(self) -> None:
        self._best: list[dict[str, float]] = [{} for _ in range(QUERIES)]
        self._least = np.full(QUERIES, -np.inf, np.float32)

    def add(self, windows: list[str], scores: Vectors, meets: Mask) -> None:
        """Add rows of these windows, with their similarities to each query, float32 [rows, Q]."""
        for row, query in np.argwhere(meets & (scores > self._least)):
            best, window = self._best[query], windows[row]
            best[window] = max(best.get(window, -1.0), float(scores[row, query]))
        for query, best in enumerate(self._best):
            kept = sorted(best.items(), key=lambda one: -one[1])[:NEAREST]
            self._best[query] = dict(kept)
            if len(kept) == NEAREST:
                self._least[query] = kept[-1][1]

    def windows(self, query: int) -> set[str]:
        """Return the nearest windows of a query."""
        return set(self._best[query])


def main(args: list[str]) -> int:
    """Print the recall under each condition. Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(args)
    windows = json.loads((options.folder / WRITTEN).read_text(encoding="utf-8"))["windows"]
    index = WindowIndex.open(options.folder / "index")
    queries = GeneratedContent().vectors(QUERIES, np.random.default_rng((SEED, -1 % 2**32)))
    conditions = _conditions(index, windows)
    nearest = _nearest(index, queries, conditions)
    for name, condition in conditions.items():
        shares = [
            len(wanted.intersection(_found(index, queries[query], condition, query))) / len(wanted)
            for query in range(QUERIES)
            if (wanted := nearest[name].windows(query))
        ]
        sys.stdout.write(f"{name:<40}{np.mean(shares):.3f} of {len(shares)} queries\n")
    return 0


def _conditions(index: WindowIndex, windows: int) -> Mapping[str, Condition]:
    """Return the conditions that the benchmark of the search measures, and two of them together."""
    rng = np.random.default_rng(SEED)
    words = [f"w{rng.integers(COMMON_WORDS, RARE_WORDS, 2)[0]}" for _ in range(QUERIES)]
    half_ns = START_NS + windows // STREAMS // 2 * WINDOW_NS
    with_word = _queries_of_windows(index, words)
    pattern = lambda query: f"camera-{1 + query % 3}?"  # noqa: E731
    streams = [f"camera-{query % STREAMS}" for query in range(QUERIES)]
    of_pattern = [{f"camera-{1 + query % 3}{digit}" for digit in range(10)} for query in range(QUERIES)]

    def is_late(rows: pa.Table) -> Mask:
        return np.repeat(rows["end_ns"].to_numpy()[:, None] > half_ns, QUERIES, axis=1)

    def is_said(rows: pa.Table) -> Mask:
        said = np.zeros((rows.num_rows, QUERIES), bool)
        for row, window in enumerate(rows["window"].to_pylist()):
            said[row, with_word.get(window, [])] = True
        return said

    def of_streams(chosen: list[set[str]]) -> Callable[[pa.Table], Mask]:
        masks = {f"camera-{number}": [f"camera-{number}" in one for one in chosen] for number in range(STREAMS)}
        return lambda rows: np.array([masks[name] for name in rows["stream"].to_pylist()], bool)

    late = replace(ALL, since_ns=half_ns)
    return {
        "no condition": Condition(lambda _: ALL, lambda rows: np.ones((rows.num_rows, QUERIES), bool)),
        "one stream": Condition(
            lambda query: replace(ALL, streams=(streams[query],)), of_streams([{s} for s in streams])
        ),
        "ten streams by a pattern": Condition(
            lambda query: replace(ALL, stream_patterns=(pattern(query),)), of_streams(of_pattern)
        ),
        "the second half": Condition(lambda _: late, is_late),
        "a word that was said": Condition(lambda _: ALL, is_said, words.__getitem__),
        "a word that was said, the second half": Condition(
            lambda _: late, lambda rows: is_said(rows) & is_late(rows), words.__getitem__
        ),
    }


def _queries_of_windows(index: WindowIndex, words: list[str]) -> Mapping[str, list[int]]:
    """Return, for each window with such a word among its cues, the queries whose word it is."""
    found: dict[str, list[int]] = defaultdict(list)
    queries: dict[str, list[int]] = defaultdict(list)
    for query, word in enumerate(words):
        queries[word].append(query)
    for rows in _batches(index, ["window", "text"], "part = 'subtitles'"):
        for window, text in zip(rows["window"].to_pylist(), rows["text"].to_pylist(), strict=True):
            for word in queries.keys() & set(text.split()):
                found[window] += queries[word]
    return found


def _nearest(index: WindowIndex, queries: Vectors, conditions: Mapping[str, Condition]) -> Mapping[str, Nearest]:
    """Compare all vectors with all queries."""
    nearest = {name: Nearest() for name in conditions}
    for rows in _batches(index, ["window", "stream", "end_ns", "vector"], "vector IS NOT NULL"):
        vectors = rows["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        vectors = vectors.reshape(rows.num_rows, -1).astype(np.float32)
        scores = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)) @ queries.T
        windows = rows["window"].to_pylist()
        for name, condition in conditions.items():
            nearest[name].add(windows, scores, condition.meets(rows))
    return nearest


def _batches(index: WindowIndex, columns: list[str], where: str) -> Iterator[pa.Table]:
    for batch in index.table.search().where(where).select(columns).to_batches(ROWS_AT_ONCE):
        yield pa.Table.from_batches([batch])


def _found(index: WindowIndex, query: NDArray[np.float32], condition: Condition, number: int) -> list[str]:
    """Return the first windows that a search for ten moments finds by meaning."""
    conditions = condition.of_query(number)
    if condition.said is not None:
        wanted = replace(conditions, parts=("subtitles",))
        windows = index.windows_with_words(condition.said(number), wanted, MAX_REQUIRED_WINDOWS)
        conditions = replace(conditions, windows=tuple(windows))
    rows = index.rank_by_meaning(query, conditions, ROWS_OF_TEN)
    return list(dict.fromkeys(row["window"] for row in rows))[:NEAREST]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
