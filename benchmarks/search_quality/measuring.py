"""Search for the labelled queries by words, by meaning and by both, and measure the rankings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.rendered_prompts import START_NS
from benchmarks.search_quality.metrics import (
    RankingMeasures,
    TrueMoment,
    Window,
    bootstrap_interval,
    measure_ranking,
    true_moments,
)
from benchmarks.search_quality.queries import LabelledQuery
from triptych.consumers.searching.search import MomentQuery, MomentSearch, SearchAnswer

if TYPE_CHECKING:
    from triptych.consumers.searching.search import QueryEmbedder
    from triptych.consumers.searching.window_index import WindowIndex

SEED: Final = 20_261_130
MODES: Final = ("words", "meaning", "fused", "chance")
MEASURES: Final = ("recall", "ndcg", "reciprocal_rank")
_SHUFFLES: Final = 20
_ALL: Final = 100_000


class IndexWithoutWords:
    """An index in which no words are found."""

    def __init__(self, index: WindowIndex) -> None:
        self._index = index

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the index has
        return getattr(self._index, name)

    def rank_by_words(self, *_: Any, **__: Any) -> list[Any]:  # noqa: ANN401 - whatever a search passes
        """Find nothing."""
        return []


class MeaningSearch(MomentSearch):
    """Searches by meaning only."""

    def __init__(self, index: WindowIndex, embedder: QueryEmbedder) -> None:
        super().__init__(IndexWithoutWords(index), embedder)  # type: ignore[arg-type]


@dataclass
class RememberingEmbedder:
    """An embedder that embeds each text once."""

    embedder: QueryEmbedder
    _known: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Return the name of the space."""
        return self.embedder.name

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector of length 1 for each text, float32 [N, D]."""
        for text in texts:
            if text not in self._known:
                self._known[text] = self.embedder.embed_texts([text])[0]
        return np.stack([self._known[text] for text in texts])


@dataclass(frozen=True, slots=True)
class MeasuredQuery:
    """A query and how good each ranking is, by mode."""

    query: LabelledQuery
    measures: Mapping[str, RankingMeasures]


@dataclass(frozen=True, slots=True)
class MeasuredMean:
    """The mean of a measure over queries, with its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"


def measure_queries(
    index: WindowIndex,
    embedder: QueryEmbedder,
    queries: Iterable[LabelledQuery],
    windows: Sequence[Window],
    window_ns: int,
) -> list[MeasuredQuery]:
    """Search for each query in each mode.

    Args:
        index: the index that is searched.
        embedder: embeds the queries in the space of its vectors.
        queries: what is searched for.
        windows: all windows of the index.
        window_ns: length of a window in nanoseconds.
    """
    remembering = RememberingEmbedder(embedder)
    searches = {
        "words": MomentSearch(index),
        "meaning": MeaningSearch(index, remembering),
        "fused": MomentSearch(index, remembering),
    }
    measured = []
    for number, query in enumerate(queries):
        moments = true_moments(query.gains)
        measures = {}
        for mode, search in searches.items():
            answer = search.find(_moment_query(query, query.text, window_ns))
            measures[mode] = measure_ranking(_found_windows(answer, mode, window_ns), moments)
        allowed = _allowed(searches["words"], query, windows, window_ns)
        measures["chance"] = _chance(allowed, moments, number)
        measured.append(MeasuredQuery(query, measures))
    return measured


def window_of(stream: str, start_ns: int, window_ns: int) -> Window:
    """Return the number of a window in its stream."""
    return stream, (start_ns - START_NS) // window_ns


def _moment_query(query: LabelledQuery, text: str, window_ns: int, limit: int = 10) -> MomentQuery:
    return MomentQuery(
        text,
        streams=(query.stream,) if query.stream else (),
        since_ns=START_NS + query.from_window * window_ns if query.from_window else None,
        until_ns=None if query.to_window is None else START_NS + query.to_window * window_ns,
        said=query.said,
        heard=query.heard,
        limit=limit,
    )


def _found_windows(answer: SearchAnswer, mode: str, window_ns: int) -> list[Window]:
    """Return the best window of each moment."""
    best = [moment.windows[0] for moment in answer.moments]
    scores = [(part.words_score, part.similarity) for window in best for part in window.why]
    if (mode == "meaning" and any(words is not None for words, _ in scores)) or (
        mode == "words" and any(similarity is not None for _, similarity in scores)
    ):
        raise AssertionError(f"expected a search by {mode} only, got both; the search has changed")
    return [window_of(window.stream, window.start_ns, window_ns) for window in best]


def _allowed(search: MomentSearch, query: LabelledQuery, windows: Sequence[Window], window_ns: int) -> list[Window]:
    """Return the windows that meet the conditions of a query."""
    end = query.to_window if query.to_window is not None else _ALL
    found = [one for one in windows if query.stream in ("", one[0]) and query.from_window <= one[1] < end]
    if not query.said and not query.heard:
        return found
    moments = search.find(_moment_query(query, "", window_ns, _ALL)).moments
    meets = {window_of(one.stream, one.start_ns, window_ns) for moment in moments for one in moment.windows}
    return [one for one in found if one in meets]


def _chance(windows: Sequence[Window], moments: Sequence[TrueMoment], number: int) -> RankingMeasures:
    """Return the means of rankings in random order, of single windows."""
    rng = np.random.default_rng([SEED, number])
    drawn = [
        measure_ranking([windows[place] for place in rng.permutation(len(windows))], moments) for _ in range(_SHUFFLES)
    ]
    return RankingMeasures(*(float(np.mean([getattr(one, name) for one in drawn])) for name in MEASURES))


def mean_of(measured: Sequence[MeasuredQuery], mode: str, measure: str, minus: str = "") -> MeasuredMean:
    """Return the mean of a measure of a mode, or of its difference to another mode, with its interval."""
    groups: dict[str, list[float]] = {}
    for one in measured:
        value = getattr(one.measures[mode], measure) - (getattr(one.measures[minus], measure) if minus else 0.0)
        groups.setdefault(f"{one.query.split} {one.query.subject}", []).append(value)
    values = [value for group in groups.values() for value in group]
    return MeasuredMean(float(np.mean(values)), *bootstrap_interval(list(groups.values()), SEED))
