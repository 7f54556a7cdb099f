"""Search an index: by words, by meaning, or both, and group the windows found to moments.

    search = MomentSearch.open("/var/lib/triptych/index")
    for moment in search.find("a red car near the bridge").moments:
        print(moment.stream, moment.start_ns, moment.windows[0].result)

Rankings are fused by reciprocal rank (Cormack, Clarke and Buettcher, 2009, "Reciprocal rank fusion outperforms
Condorcet and individual rank learning methods"): a window's score is the sum of 1 / (60 + rank) over the rankings. One
is by meaning, one has the parts with all the words of the query, without English stop words. Parts with some of the
words are one of less weight, which is looked for if none has all, or if meaning is not searched.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self, TypeVar

from triptych.consumers.searching.index_opening import open_index
from triptych.consumers.searching.index_store import (
    MAX_REQUIRED_WINDOWS,
    DetailedRow,
    FoundRow,
    IndexReadError,
    IndexStore,
    RowConditions,
)
from triptych.consumers.searching.query_words import content_words, is_one_word, with_plain_apostrophes
from triptych.consumers.searching.rows import WINDOW_PARTS, Part
from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_First = TypeVar("_First")
_Second = TypeVar("_Second")

WORDS_ONLY: Final = "searched by words only"
"""Begins the note that no vectors were searched."""
_RANK_OFFSET: Final = 60
_SOME_WORDS_WEIGHT: Final = 0.3
"""Weight of the ranking of parts that have some of the words. With 1, searching by words and meaning found less than by
meaning alone (docs/search-quality.md)."""
_CANDIDATES: Final = 100
"""The least number of rows of each ranking: the best ones."""
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
        texts = (self.text, self.said, self.seen, self.heard, *self.streams, *self.stream_patterns)
        if (wrong := next((text for text in texts if not _is_unicode(text)), None)) is not None:
            raise UsageError(f"search: expected text as UTF-8, got {wrong!a}")


@dataclass(frozen=True, slots=True)
class FoundPart:
    """Why a window was found: the part of it that fits, and how well.

    Attributes:
        part: which part of the window.
        words_score: BM25 of the words of the query, on a server `ts_rank_cd`; None if they are not in it.
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
class _FoundMeasures:
    """A row that was found, and its place in the rankings."""

    row: FoundRow
    words_score: float | None = None
    similarity: float | None = None


@dataclass(slots=True)
class _Candidate:
    """A window while its rankings are merged."""

    row: FoundRow
    score: float = 0.0
    parts: dict[Part, _FoundMeasures] = field(default_factory=dict)


class MomentSearch:
    """Searches one index. Not thread-safe; each search blocks while the index and the embedder work."""

    def __init__(self, index: IndexStore, embedder: QueryEmbedder | None = None) -> None:
        """Search an index by words, and with an embedder of its space also by meaning."""
        self._index = index
        self._embedder = embedder

    @classmethod
    def open(
        cls,
        location: Path | str,
        embedder: QueryEmbedder | None = None,
        *,
        pipeline: str | None = None,
        password: str | None = None,
    ) -> Self:
        """Open the index in a folder, or on a server of PostgreSQL.

        Args:
            location: the folder, or `postgresql://USER@HOST:PORT/DATABASE`.
            embedder: an encoder of the space of the index; without one, words are searched.
            pipeline: whose index of a database; None for that of one with a single index.
            password: of the user of a database; None if libpq finds it (`PGPASSWORD`, `~/.pgpass`), or needs none.

        Raises:
            SearchIndexError: there is no index, or one that cannot be used.
        """
        return cls(open_index(location, pipeline, password), embedder)

    def close(self) -> None:
        """Release what is open."""
        self._index.close()

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
            SearchIndexError: the index cannot be used.
        """
        wanted = MomentQuery(query) if isinstance(query, str) else query
        try:
            return self._find(wanted)
        except IndexReadError:  # the writer may have deleted the version that was read; a newer one is there
            return self._find(wanted)

    def _find(self, wanted: MomentQuery) -> SearchAnswer:
        self._index.refresh()
        notes: list[str] = []
        conditions = RowConditions(
            _SEARCHED_PARTS, wanted.streams, wanted.stream_patterns, wanted.since_ns, wanted.until_ns
        )
        required: list[Part] = []
        for option, part in _PART_OF.items():
            if words := with_plain_apostrophes(getattr(wanted, option)).strip():
                conditions = self._required(words, option, replace(conditions, parts=(part,)), notes)
                required.append(part)
        conditions = replace(conditions, parts=_SEARCHED_PARTS)
        candidates: dict[str, _Candidate] = {}
        if wanted.text.strip():
            most = max(_CANDIDATES, len(WINDOW_PARTS) * wanted.limit)
            near, with_all, with_some = self._rank(wanted.text, conditions, most, notes)
            _merge(candidates, near, "similarity")
            _merge(candidates, with_all, "words_score")
            _merge(candidates, with_some, "words_score", _SOME_WORDS_WEIGHT)
        else:
            fitting = replace(conditions, parts=tuple(required))
            _merge(candidates, self._index.newest_rows(fitting, max(_CANDIDATES, wanted.limit)), None)
        moments = self._moments(candidates.values(), wanted.limit)
        return SearchAnswer(moments, (*notes, *self._unknown_streams(wanted.streams, moments)))

    def _unknown_streams(self, streams: Sequence[str], moments: Iterable[FoundMoment]) -> Iterator[str]:
        """Return a note for each of the streams that has no window in the index."""
        for stream in sorted(set(streams) - {moment.stream for moment in moments}):
            if not self._index.newest_rows(RowConditions(streams=(stream,)), 1):
                yield f"--stream {stream!r}: the index has no window of a stream with this name"

    def _moments(self, candidates: Iterable[_Candidate], limit: int) -> tuple[FoundMoment, ...]:
        """Return the best moments. What is shown of rows is read of these only."""
        groups = _best_groups(candidates, limit)
        shown = [part.row for group in groups for one in group for part in one.parts.values()]
        details = {(row["window"], row["part"]): row for row in self._index.with_details(shown)}
        return tuple(_moment([_found_window(one, details) for one in group]) for group in groups)

    def _required(self, words: str, option: str, conditions: RowConditions, notes: list[str]) -> RowConditions:
        """Return the conditions with only those windows of which the part has all these words."""
        found = self._index.windows_with_words(words, conditions, MAX_REQUIRED_WINDOWS)
        if len(found) == MAX_REQUIRED_WINDOWS:
            notes.append(
                f"--{option} {words!r} fits at least {MAX_REQUIRED_WINDOWS:,} windows, of which the best were "
                "searched; narrow it by --since, --until or --stream"
            )
        return replace(conditions, windows=tuple(found))

    def _rank(
        self, text: str, conditions: RowConditions, most: int, notes: list[str]
    ) -> tuple[list[FoundRow], list[FoundRow], list[FoundRow]]:
        """Return the rows nearest to a text, those with all its words, and those with some if either has none."""
        embedder = self._usable_embedder(notes)
        words = content_words(with_plain_apostrophes(text))

        def with_all() -> list[FoundRow]:
            return self._index.rank_by_words(words, conditions, most, needs_all=True)

        def with_some() -> list[FoundRow]:
            return self._index.rank_by_words(words, conditions, most)

        def with_all_or_some() -> tuple[list[FoundRow], list[FoundRow]]:
            found = with_all()
            return found, [] if found or is_one_word(words) else with_some()

        if embedder is None:
            return [], *self._together(with_all, with_some)
        near, (all_words, some_words) = self._together(
            lambda: self._index.rank_by_meaning(embedder.embed_texts([text])[0], conditions, most), with_all_or_some
        )
        return near, all_words, some_words if near or not all_words else with_some()

    def _together(self, first: Callable[[], _First], second: Callable[[], _Second]) -> tuple[_First, _Second]:
        """Return what two rankings find. They run at the same time if the index allows it."""
        if not self._index.ranks_in_threads:
            return first(), second()
        with ThreadPoolExecutor(1, thread_name_prefix="rank") as thread:
            running = thread.submit(second)
            return first(), running.result()

    def _usable_embedder(self, notes: list[str]) -> QueryEmbedder | None:
        """Return the embedder of the index's space, or None with a note that says why there is none.

        Raises:
            UsageError: it is one of another space.
        """
        space = self._index.meta.space
        if space is None:
            notes.append(f"{WORDS_ONLY}: the index has no vectors")
            return None
        if self._embedder is None:
            notes.append(f"{WORDS_ONLY}: no encoder of the space {space} is loaded")
            return None
        if self._embedder.name != space:
            raise UsageError(f"search: expected an encoder of the space {space}, got one of {self._embedder.name}")
        return self._embedder


def _is_unicode(text: str) -> bool:
    """Return whether a text can be encoded. Arguments of a command that are no UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _merge(
    candidates: dict[str, _Candidate],
    rows: Iterable[FoundRow],
    measure: Literal["words_score", "similarity"] | None,
    weight: float = 1.0,
) -> None:
    """Add one ranking of rows, best first, to the candidates. A window has the rank of its best part."""
    ranked: dict[str, int] = {}
    for row in rows:
        window = row["window"]
        candidate = candidates.setdefault(window, _Candidate(row))
        if window not in ranked:
            ranked[window] = len(ranked)
            candidate.score += weight / (_RANK_OFFSET + 1 + ranked[window])
        part = candidate.parts.setdefault(row["part"], _FoundMeasures(row))
        if measure is not None:
            setattr(part, measure, row[measure])


def _best_groups(candidates: Iterable[_Candidate], limit: int) -> list[list[_Candidate]]:
    """Join windows that follow one another, and return the best groups, the best window of each first."""
    groups: list[list[_Candidate]] = []
    end_ns = 0
    for one in sorted(candidates, key=lambda one: (one.row["stream"], one.row["start_ns"], one.row["end_ns"])):
        row = one.row
        length_ns = row["end_ns"] - row["start_ns"]
        is_next = groups and groups[-1][-1].row["stream"] == row["stream"] and row["start_ns"] <= end_ns + length_ns
        if is_next:
            groups[-1].append(one)
            end_ns = max(end_ns, row["end_ns"])
        else:
            groups.append([one])
            end_ns = row["end_ns"]
    groups.sort(key=_order_of)
    return [sorted(group, key=lambda one: (-one.score, one.row["start_ns"])) for group in groups[:limit]]


def _order_of(group: Sequence[_Candidate]) -> tuple[float, int, str]:
    """Return what sorts the best group first, and newer ones among those that are as good."""
    score = max(one.score for one in group)
    return -score, -min(one.row["start_ns"] for one in group), group[0].row["stream"]


def _moment(windows: Sequence[FoundWindow]) -> FoundMoment:
    start_ns, end_ns = min(one.start_ns for one in windows), max(one.end_ns for one in windows)
    return FoundMoment(windows[0].stream, start_ns, end_ns, windows[0].score, tuple(windows))


def _found_window(candidate: _Candidate, details: Mapping[tuple[str, Part], DetailedRow]) -> FoundWindow:
    row = details[candidate.row["window"], candidate.row["part"]]
    found = [_found_part(details[row["window"], part], measures) for part, measures in candidate.parts.items()]
    why = sorted(found, key=lambda one: (one.words_score is None, -(one.similarity or 0.0), one.part))
    return FoundWindow(
        row["window"], row["result"], row["stream"], row["start_ns"], row["end_ns"], candidate.score, tuple(why)
    )


def _found_part(row: DetailedRow, measures: _FoundMeasures) -> FoundPart:
    details = json.loads(row["details"]) if row["details"] else {}
    return FoundPart(row["part"], measures.words_score, measures.similarity, row["text"], details)
