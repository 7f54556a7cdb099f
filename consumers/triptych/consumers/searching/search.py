"""Search an index: by words, by meaning, or both, and group the windows found to moments.

    search = MomentSearch.open("/var/lib/triptych/index")
    for moment in search.find("a red car near the bridge").moments:
        print(moment.stream, moment.start_ns, moment.windows[0].result)

Both rankings are fused by reciprocal rank (Cormack, Clarke and Buettcher, 2009, "Reciprocal rank fusion outperforms
Condorcet and individual rank learning methods"): a window's score is the sum of 1 / (60 + rank) over the rankings.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from lancedb.query import MatchQuery

from triptych.consumers.searching.rows import WINDOW_PARTS, Part, row_key
from triptych.consumers.searching.window_index import WindowIndex
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_RANK_OFFSET: Final = 60
_CANDIDATES: Final = 100
"""The least number of rows of each ranking: the best ones."""
_MAX_REQUIRED: Final = 10_000
"""The most windows that a condition such as `said` may leave; more of them are cut, and that is said."""
_MAX_ROWS: Final = len(WINDOW_PARTS) * _MAX_REQUIRED
_REFINE: Final = 2
"""So many times more vectors are compared exactly than are wanted. 10 finds no more of the nearest, in more time."""
_COLUMNS: Final = ["window", "part", "result", "stream", "start_ns", "end_ns", "text", "details"]
_SEARCHED_PARTS: Final = tuple(part for part in WINDOW_PARTS if part != "quality")
_PART_OF: Final[Mapping[str, Part]] = {"said": "subtitles", "seen": "video", "heard": "audio"}


class QueryEmbedder(Protocol):
    """Embeds the text of a query."""

    @property
    def name(self) -> str:
        """Return the name of the space."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector of length 1 for each text, float32 [N, D]."""


@dataclass(frozen=True, slots=True)
class MomentQuery:
    """What to look for. Without `text`, the newest windows that meet the conditions are found.

    Attributes:
        text: words, or a description of what is meant.
        streams: only these streams; empty for all.
        stream_patterns: only streams whose names fit one of these, with `*` and `?`; empty for all.
        since_ns: only windows that end after this event time.
        until_ns: only windows that start before this event time.
        said: words that must all be among the cues of the window.
        seen: words that must all be among what was seen.
        heard: words that must all be among what was heard.
        limit: the most moments to return.
    """

    text: str = ""
    streams: tuple[str, ...] = ()
    since_ns: int | None = None
    until_ns: int | None = None
    said: str = ""
    seen: str = ""
    heard: str = ""
    limit: int = 10
    stream_patterns: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not any(words.strip() for words in (self.text, self.said, self.seen, self.heard)):
            raise UsageError("search: expected words to look for, got none; give TEXT, --said, --seen or --heard")
        if self.limit < 1:
            raise UsageError(f"search: expected a limit of at least 1, got {self.limit}")


@dataclass(frozen=True, slots=True)
class FoundPart:
    """Why a window was found: the part of it that fits, and how well.

    Attributes:
        part: which part of the window.
        words_score: BM25 of the words of the query; None if they are not in it.
        similarity: cosine of the part and the query; None if the part has no vector, or is not among the nearest.
        text: the words of the part.
        details: what was seen, said or heard, as in `IndexRow.details`.
    """

    part: Part
    words_score: float | None
    similarity: float | None
    text: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class FoundWindow:
    """A window that was found.

    Attributes:
        window: id of the window.
        result: id of the result, for `triptych evidence`.
        stream: its stream.
        start_ns: its start in event time.
        end_ns: its end.
        score: the sum of reciprocal ranks; comparable within one answer only.
        why: the parts that fit, best first.
    """

    window: str
    result: str
    stream: str
    start_ns: int
    end_ns: int
    score: float
    why: tuple[FoundPart, ...]


@dataclass(frozen=True, slots=True)
class FoundMoment:
    """Windows that were found and follow one another in a stream. The best one comes first in `windows`."""

    stream: str
    start_ns: int
    end_ns: int
    score: float
    windows: tuple[FoundWindow, ...]


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """The moments that were found, best first, and what the user should know about how they were looked for."""

    moments: tuple[FoundMoment, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Candidate:
    """A window while its rankings are merged."""

    row: Mapping[str, Any]
    score: float = 0.0
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)


class MomentSearch:
    """Searches one index. Not thread-safe; each search blocks while the index and the embedder work."""

    def __init__(self, index: WindowIndex, embedder: QueryEmbedder | None = None) -> None:
        """Search an index by words, and with an embedder of its space also by meaning."""
        self._index = index
        self._embedder = embedder

    @classmethod
    def open(cls, folder: Path | str, embedder: QueryEmbedder | None = None) -> Self:
        """Open the index in a folder.

        Raises:
            IndexFolderError: the folder holds no index, or one that cannot be used.
        """
        return cls(WindowIndex.open(Path(folder)), embedder)

    @property
    def pipeline(self) -> str:
        """The pipeline whose windows the index holds."""
        return self._index.meta.pipeline

    @property
    def space(self) -> str | None:
        """The name of the space of the index's vectors; None if it has none."""
        return self._index.meta.space

    def with_embedder(self, embedder: QueryEmbedder | None) -> Self:
        """Return a search of the same index with another embedder."""
        return type(self)(self._index, embedder)

    async def find_async(self, query: MomentQuery | str) -> SearchAnswer:
        """Find moments without blocking the event loop. One search at a time."""
        return await asyncio.to_thread(self.find, query)

    def find(self, query: MomentQuery | str) -> SearchAnswer:
        """Find moments.

        Raises:
            UsageError: the query asks for nothing, or the embedder is one of another space.
        """
        wanted = MomentQuery(query) if isinstance(query, str) else query
        self._index.refresh()
        notes: list[str] = []
        conditions = _conditions(wanted)
        for option, part in _PART_OF.items():
            if words := getattr(wanted, option).strip():
                conditions.append(self._required(words, option, part, conditions, notes))
        where = " AND ".join(conditions)
        candidates: dict[str, _Candidate] = {}
        if wanted.text.strip():
            most = max(_CANDIDATES, len(WINDOW_PARTS) * wanted.limit)
            _merge(candidates, self._by_words(wanted.text, where, most), "words_score", "_score")
            _merge(candidates, self._by_meaning(wanted.text, where, most, notes), "similarity", "_distance")
        else:
            _merge(candidates, self._newest(where, max(_CANDIDATES, wanted.limit)), "newest", "start_ns")
        return SearchAnswer(_moments(candidates.values(), wanted.limit), tuple(notes))

    def _required(self, words: str, option: str, part: Part, conditions: Sequence[str], notes: list[str]) -> str:
        """Return the condition that a part of the window has all these words."""
        where = " AND ".join([*conditions, f"part = '{part}'"])
        query = MatchQuery(words, "text", operator="AND")
        search = self._index.table.search(query, query_type="fts").where(where, prefilter=True)
        found = search.select(["window", "_score"]).limit(_MAX_REQUIRED).to_arrow()["window"].to_pylist()
        if len(found) == _MAX_REQUIRED:
            notes.append(
                f"--{option} {words!r} fits at least {_MAX_REQUIRED:,} windows, of which the best were searched; "
                "narrow it by --since, --until or --stream"
            )
        return _among(found)

    def _by_words(self, text: str, where: str, most: int) -> list[dict[str, Any]]:
        search = self._index.table.search(MatchQuery(text, "text"), query_type="fts").where(where, prefilter=True)
        rows: list[dict[str, Any]] = search.select([*_COLUMNS, "_score"]).limit(most).to_list()
        return rows

    def _by_meaning(self, text: str, where: str, most: int, notes: list[str]) -> list[dict[str, Any]]:
        space = self._index.meta.space
        if space is None:
            notes.append("searched by words only: the index has no vectors")
            return []
        if self._embedder is None:
            notes.append(f"searched by words only: no encoder of the space {space} is loaded")
            return []
        if self._embedder.name != space:
            raise UsageError(f"search: expected an encoder of the space {space}, got one of {self._embedder.name}")
        vector = self._embedder.embed_texts([text])[0]
        search = self._index.table.search(vector, vector_column_name="vector").distance_type("cosine")
        search = search.where(where, prefilter=True).refine_factor(_REFINE)
        rows: list[dict[str, Any]] = search.select([*_COLUMNS, "_distance"]).limit(most).to_list()
        return rows

    def _newest(self, where: str, most: int) -> list[dict[str, Any]]:
        """Return the rows of the newest windows. The conditions leave at most `_MAX_REQUIRED` windows."""
        found = self._index.table.search().where(where).select(["window", "start_ns"]).limit(_MAX_ROWS).to_list()
        newest = sorted({(-row["start_ns"], row["window"]) for row in found})[:most]
        chosen = f"{where} AND {_among([window for _, window in newest])}"
        rows = self._index.table.search().where(chosen).select(_COLUMNS).limit(_MAX_ROWS).to_list()
        return sorted(rows, key=lambda row: (-row["start_ns"], row["window"], row["part"]))


def _conditions(query: MomentQuery) -> list[str]:
    conditions = ["part NOT IN ('meta', 'quality')"]
    if query.streams:
        conditions.append(f"stream IN ({', '.join(_quoted(stream) for stream in query.streams)})")
    if query.stream_patterns:
        fits = (f"stream LIKE {_quoted(_like_pattern(pattern))}" for pattern in query.stream_patterns)
        conditions.append(f"({' OR '.join(fits)})")
    if query.since_ns is not None:
        conditions.append(f"end_ns > {int(query.since_ns)}")
    if query.until_ns is not None:
        conditions.append(f"start_ns < {int(query.until_ns)}")
    return conditions


def _among(windows: Sequence[str]) -> str:
    """Return the condition that a row belongs to one of these windows. Keys have an index, windows have none."""
    keys = (_quoted(row_key(window, part)) for window in windows for part in _SEARCHED_PARTS)
    return f"key IN ({', '.join(keys)})" if windows else "false"


def _like_pattern(pattern: str) -> str:
    """Return a pattern with `*` and `?` as one of SQL's LIKE, whose own signs stand for themselves in it."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def _quoted(text: str) -> str:
    """Return a text as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _merge(candidates: dict[str, _Candidate], rows: Iterable[dict[str, Any]], measure: str, column: str) -> None:
    """Add one ranking of rows, best first, to the candidates. A window has the rank of its best part."""
    ranked: dict[str, int] = {}
    for row in rows:
        window = row["window"]
        candidate = candidates.setdefault(window, _Candidate(row))
        if window not in ranked:
            ranked[window] = len(ranked)
            candidate.score += 1 / (_RANK_OFFSET + 1 + ranked[window])
        part = candidate.parts.setdefault(row["part"], {"row": row})
        part[measure] = 1 - row[column] if column == "_distance" else row[column]


def _moments(candidates: Iterable[_Candidate], limit: int) -> tuple[FoundMoment, ...]:
    """Join windows that follow one another, and return the best moments."""
    windows = sorted((_found_window(one) for one in candidates), key=lambda one: (one.stream, one.start_ns, one.end_ns))
    groups: list[list[FoundWindow]] = []
    end_ns = 0
    for window in windows:
        length_ns = window.end_ns - window.start_ns
        if groups and groups[-1][-1].stream == window.stream and window.start_ns <= end_ns + length_ns:
            groups[-1].append(window)
            end_ns = max(end_ns, window.end_ns)
        else:
            groups.append([window])
            end_ns = window.end_ns
    moments = [_moment(group) for group in groups]
    return tuple(sorted(moments, key=lambda one: (-one.score, -one.start_ns, one.stream))[:limit])


def _moment(windows: Sequence[FoundWindow]) -> FoundMoment:
    best = sorted(windows, key=lambda one: (-one.score, one.start_ns))
    start_ns, end_ns = min(one.start_ns for one in windows), max(one.end_ns for one in windows)
    return FoundMoment(windows[0].stream, start_ns, end_ns, best[0].score, tuple(best))


def _found_window(candidate: _Candidate) -> FoundWindow:
    row = candidate.row
    parts = [_found_part(part) for part in candidate.parts.values()]
    why = sorted(parts, key=lambda one: (one.words_score is None, -(one.similarity or 0.0), one.part))
    return FoundWindow(
        row["window"], row["result"], row["stream"], row["start_ns"], row["end_ns"], candidate.score, tuple(why)
    )


def _found_part(part: Mapping[str, Any]) -> FoundPart:
    row = part["row"]
    details = json.loads(row["details"]) if row["details"] else {}
    return FoundPart(row["part"], part.get("words_score"), part.get("similarity"), row["text"], details)
