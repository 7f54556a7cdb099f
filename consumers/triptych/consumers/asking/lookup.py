"""What an index says about a clause: the windows that show or sound like something, and the cues that say something.

Things, sounds and prompts come from the graph, words from the full text of the index.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from lancedb.query import ColumnOrdering, MatchQuery
from pyoxigraph import Literal

from triptych.consumers.asking.parsing.thing_names import CHINESE_OR_JAPANESE, ThingNames
from triptych.consumers.asking.time_spans import TimeSpans
from triptych.consumers.searching.graph.facts import PREFIXES, entity, singular, thing_name
from triptych.consumers.searching.graph.mentions import CueMentions, cue_mentions
from triptych.consumers.searching.graph.window_graph import open_snapshot
from triptych.consumers.searching.query_words import with_plain_apostrophes
from triptych.consumers.searching.rows import Part
from triptych.schemas.errors import TriptychError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyoxigraph import Store

    from triptych.consumers.searching.window_index import WindowIndex

MAX_WINDOWS: Final = 20_000
"""The most windows or cues that are looked at for one clause; more are left out, and the answer says so."""
_COLUMNS: Final = ["window", "part", "result", "stream", "start_ns", "end_ns", "details"]
_BATCH_ROWS: Final = 10_000
Row = TypeVar("Row")
_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class AskScope:
    """Which windows a question is about: those of these streams (none: all) that overlap an interval of event time."""

    streams: tuple[str, ...] = ()
    since_ns: int | None = None
    until_ns: int | None = None

    def overlaps(self, start_ns: int, end_ns: int) -> bool:
        """Return whether an interval is in the scope, in part at least."""
        return (self.since_ns is None or end_ns > self.since_ns) and (self.until_ns is None or start_ns < self.until_ns)

    def narrowed(self, other: AskScope) -> AskScope:
        """Return the scope of what is in both."""
        since = [time for time in (self.since_ns, other.since_ns) if time is not None]
        until = [time for time in (self.until_ns, other.until_ns) if time is not None]
        streams = other.streams or self.streams
        if self.streams and other.streams:
            streams = tuple(stream for stream in other.streams if stream in self.streams) or ("",)
        return AskScope(streams, max(since, default=None), min(until, default=None))


class QuestionStoppedError(TriptychError):
    """Whoever asked has given the question up, or its time is over."""


@dataclass(frozen=True, slots=True)
class AskLimits:
    """What a question may look at, and for how long.

    Attributes:
        may_see: says whether a stream may be looked at, by its name; None if all may be. Others are not in the index
            for this question: no answer rests on them, counts them, or names them.
        stopped: ends the question between two lookups, or while a language model writes.
    """

    may_see: Callable[[str], bool] | None = None
    stopped: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Occurrence:
    """When a clause holds: a window that shows or sounds like it, or a cue that says it.

    Attributes:
        stream: the stream.
        start_ns: start of the window, or of the cue.
        end_ns: its end.
        results: ids of the results behind it, as `triptych evidence` takes them.
        text: the cue, or the names of what was seen or heard.
        count: how many were seen at once; None if nothing was counted.
        is_cue: whether it is a cue.
        is_sound: whether it is a sound.
        names: the names in the cue that a model found; None if the index was written without one.
    """

    stream: str
    start_ns: int
    end_ns: int
    results: tuple[str, ...]
    text: str
    count: int | None = None
    is_cue: bool = False
    is_sound: bool = False
    names: tuple[str, ...] | None = None

    @property
    def mentions(self) -> CueMentions:
        """The speaker and the names of the cue."""
        said = cue_mentions(self.text)
        return said if self.names is None else CueMentions(said.speaker, self.names)


@dataclass(frozen=True, slots=True)
class IndexBounds:
    """The streams of an index, and the interval of event time that its windows cover."""

    streams: tuple[str, ...]
    start_ns: int
    end_ns: int


class IndexLookup:
    """Looks clauses up in one version of an index. Not thread-safe; each call blocks."""

    def __init__(
        self, index: WindowIndex, names: ThingNames, limits: AskLimits | None = None, store: Store | None = None
    ) -> None:
        """Look up in an index.

        Args:
            index: the index.
            names: names that mean the same.
            limits: what may be looked at; everything by default.
            store: the graph of this version of the index, if it is open.

        Raises:
            WindowGraphError: it has no graph.
        """
        self._index = index
        self._names = names
        self._store = open_snapshot(index.graph_folder, index.meta.graph) if store is None else store
        self.limits = AskLimits() if limits is None else limits
        self.is_cut = False
        """Whether a lookup found more than `MAX_WINDOWS`."""

    def limited(self, limits: AskLimits) -> IndexLookup:
        """Return what looks into the same version of the index, with limits."""
        return IndexLookup(self._index, self._names, limits, self._store)

    def within(self, scope: AskScope) -> AskScope:
        """Return the part of a scope that may be looked at. If that names no stream, all may be."""
        return scope if self._visible is None else scope.narrowed(AskScope(self._visible))

    @cached_property
    def _visible(self) -> tuple[str, ...] | None:
        """The streams that may be looked at; None for all. Without any, a name that no stream has."""
        import pyarrow.compute as pc  # noqa: PLC0415 - an extra

        may_see = self.limits.may_see
        if may_see is None:
            return None
        found = self._index.table.search().where("part != 'meta'").select(["stream"]).to_arrow()
        return tuple(sorted(stream for stream in pc.unique(found["stream"]).to_pylist() if may_see(stream))) or ("",)

    def _check(self) -> None:
        if self.limits.stopped():
            raise QuestionStoppedError("the question was given up")

    @cached_property
    def bounds(self) -> IndexBounds | None:
        """The streams and times of the index that may be looked at; None if there is nothing."""
        import pyarrow.compute as pc  # noqa: PLC0415 - an extra

        self._check()
        where = self._where(AskScope())
        found = self._index.table.search().where(where).select(["stream", "start_ns", "end_ns"]).to_arrow()
        if not found.num_rows:
            return None
        streams = tuple(sorted(pc.unique(found["stream"]).to_pylist()))
        return IndexBounds(streams, pc.min(found["start_ns"]).as_py(), pc.max(found["end_ns"]).as_py())

    def has_windows(self, scope: AskScope) -> bool:
        """Return whether anything of the scope is in the index."""
        found = self._index.table.search().where(self._where(scope)).select(["key"]).limit(1).to_list()
        return bool(found)

    def hours(self, scope: AskScope, hour_ns: int) -> list[tuple[int, int]]:
        """Return the hours, of this length, in which windows of the scope begin or end, as far as these windows reach.

        Of each the begin and the end, in order.
        """
        found = self._index.table.search().where(self._where(scope)).select(["start_ns", "end_ns"]).to_arrow()
        if not found.num_rows:
            return []
        starts_ns, ends_ns = found["start_ns"].to_numpy(), found["end_ns"].to_numpy()
        first_ns, last_ns = int(starts_ns.min()), int(ends_ns.max())
        numbers = np.unique(np.concatenate([starts_ns, ends_ns - 1]) // hour_ns)
        begins_ns = [int(number) * hour_ns for number in numbers]
        return [(max(begin_ns, first_ns), min(begin_ns + hour_ns, last_ns)) for begin_ns in begins_ns]

    def seen(self, term: str, scope: AskScope, *, newest: bool = False) -> list[Occurrence]:
        """Return the windows that show something; if nothing is called so, those that match a prompt of that name.

        If there are too many, the first in time are returned, or the newest. That also holds for `heard` and `said`.
        """
        things = self._names.among(term, self._labels("Thing"))
        if things and self._is_shown(things):
            return self._windows("shows", "thing", things, scope, newest=newest)
        same = self._names.same(term)
        prompts = [name for name in self._labels("Prompt") if thing_name(name.replace("-", " ")) in same]
        return self._windows("matches", "prompt", prompts, scope, newest=newest) if prompts else []

    def heard(self, term: str, scope: AskScope, *, newest: bool = False) -> list[Occurrence]:
        """Return the windows with a sound."""
        sounds = [sound for sound in self._labels("Sound") if sound == term]
        return self._windows("hears", "sound", sounds, scope, newest=newest) if sounds else []

    def said(self, term: str, scope: AskScope, *, newest: bool = False) -> list[Occurrence]:
        """Return the cues that say all the words of a term, or of another name for it. Each cue is returned once."""
        rows: dict[str, dict[str, Any]] = {}
        names = self._names.said_as(term)
        for name in names:
            rows.update(
                (row["window"], row) for row in self._rows_with(name, self._where(scope, "subtitles"), newest=newest)
            )
        tests = [_says(name) for name in names]
        return _cues(rows.values(), scope, lambda text: any(test(text) for test in tests))

    def _rows_with(self, words: str, where: str, *, newest: bool) -> list[dict[str, Any]]:
        """Return the rows with all these words. A full-text search is ordered by its score, so times are read first."""
        self._check()
        query = MatchQuery(with_plain_apostrophes(words), "text", operator="AND")

        def search(columns: list[str], condition: str, limit: int) -> pa.Table:
            found = self._index.table.search(query, query_type="fts").where(condition, prefilter=True)
            return found.select([*columns, "_score"]).limit(limit).to_arrow()

        found = search(_COLUMNS, where, MAX_WINDOWS + 1)
        if found.num_rows > MAX_WINDOWS:
            self.is_cut = True
            times = np.sort(search(["start_ns"], where, self._index.rows())["start_ns"].to_numpy())
            bound = f"start_ns >= {times[-MAX_WINDOWS]}" if newest else f"start_ns <= {times[MAX_WINDOWS - 1]}"
            found = search(_COLUMNS, f"{where} AND {bound}", MAX_WINDOWS)
        return list(found.to_pylist())

    def cues(self, scope: AskScope, *, newest: bool = False, spans: TimeSpans | None = None) -> list[Occurrence]:
        """Return all cues of a scope; with `spans`, those of windows that overlap one."""
        return _cues(self._rows(self._where(scope, "subtitles"), newest=newest, spans=spans), scope, lambda _: True)

    def shown(self, scope: AskScope, *, newest: bool = False, spans: TimeSpans | None = None) -> list[Occurrence]:
        """Return what each window of a scope, or of its `spans`, shows: one occurrence for each thing."""
        found: list[Occurrence] = []
        for row in self._rows(self._where(scope, "video"), newest=newest, spans=spans):
            details = _details(row)
            counts = {thing_name(name): count for name, count in details.get("counts", {}).items()}
            names = dict.fromkeys([*map(thing_name, details.get("labels", ())), *counts])
            found += [_occurrence(row, name, counts.get(name)) for name in names]
        return sorted(found, key=_order)

    def sounds(self, scope: AskScope, *, newest: bool = False, spans: TimeSpans | None = None) -> list[Occurrence]:
        """Return what is heard in each window of a scope, or of its `spans`: one occurrence for each sound."""
        rows = self._rows(self._where(scope, "audio"), newest=newest, spans=spans)
        return sorted(
            (
                replace(_occurrence(row, sound), is_sound=True)
                for row in rows
                for sound in _details(row).get("sounds", ())
            ),
            key=_order,
        )

    def listed(self, part: Part, name: str, scope: AskScope) -> list[Occurrence]:
        """Return the entries of one detail of a part of the windows of a scope: one occurrence for each entry."""
        found: list[Occurrence] = []
        for row in self._rows(self._where(scope, part)):
            entries = _details(row).get(name, ())
            found += [_occurrence(row, entry) for entry in ([entries] if isinstance(entries, str) else entries)]
        return sorted(found, key=_order)

    def published_since(self, results: Sequence[str]) -> int:
        """Return when the first of these results was published; 0 if none of them is in the index."""
        quoted = ", ".join("'" + result.replace("'", "''") + "'" for result in results)
        if not quoted:
            return 0
        where = f"{self._where(AskScope())} AND result IN ({quoted})"
        found = self._index.table.search().where(where).select(["published_ns"]).to_list()
        return min((int(row["published_ns"]) for row in found), default=0)

    def names(self) -> list[str]:
        """Return what all things and sounds of the index are called."""
        return [*self._labels("Thing"), *self._labels("Sound")]

    def _labels(self, of_class: str) -> list[str]:
        query = "SELECT DISTINCT ?label WHERE { ?entity a ?class ; tri:label ?label . FILTER(?class = tri:%s) }"
        found = self._store.query(query % of_class, prefixes=PREFIXES)
        return sorted(str(row["label"].value) for row in found)  # type: ignore[union-attr]

    def _is_shown(self, things: Sequence[str]) -> bool:
        """Return whether any stream that may be looked at shows one of these things: the labels are those of all."""
        if self._visible is None:
            return True
        self._check()
        values = " ".join(str(entity("thing", name)) for name in things)
        query = f"""
            ASK {{
              VALUES ?entity {{ {values} }}
              GRAPH ?row {{ ?window tri:shows ?entity ; tri:stream ?stream }}
              FILTER(?stream IN ({_literals(self._visible)}))
            }}
        """
        return bool(self._store.query(query, prefixes=PREFIXES))

    def _windows(
        self, relation: str, kind: str, names: Sequence[str], scope: AskScope, *, newest: bool
    ) -> list[Occurrence]:
        self._check()
        scope = self.within(scope)
        values = " ".join(str(entity(kind, name)) for name in names)
        limits = [] if scope.since_ns is None else [f"?end > {scope.since_ns}"]
        limits += [] if scope.until_ns is None else [f"?start < {scope.until_ns}"]
        limits += [f"?stream IN ({_literals(scope.streams)})"] if scope.streams else []
        # All facts are asked of one row's graph: the other rows of a window repeat its stream, times and result.
        query = f"""
            SELECT ?stream ?start ?end ?result ?entity ?count WHERE {{
              VALUES ?entity {{ {values} }}
              GRAPH ?row {{
                ?window tri:{relation} ?entity ; tri:stream ?stream ; tri:start ?start ; tri:end ?end .
                ?window tri:result ?result .
                OPTIONAL {{ ?sighting tri:of ?entity ; tri:in ?window ; tri:count ?count }}
              }}
              {f"FILTER({' && '.join(limits)})" if limits else ""}
            }} ORDER BY {"DESC(?start)" if newest else "?start"} LIMIT {MAX_WINDOWS + 1}
        """
        rows = self._not_too_many(list(self._store.query(query, prefixes=PREFIXES)))  # type: ignore[arg-type]
        name_of = {entity(kind, name).value: name for name in names}
        windows: dict[tuple[str, int, int], Occurrence] = {}
        for row in rows:
            key = (row["stream"].value, int(row["start"].value), int(row["end"].value))
            name = name_of[row["entity"].value]
            count = None if row["count"] is None else int(row["count"].value)
            before = windows.get(key)
            if before is not None:  # two kinds of the same thing, such as a sports car and a car
                name = f"{before.text}, {name}"
                count = max((one for one in (before.count, count) if one is not None), default=None)
            windows[key] = Occurrence(*key, (row["result"].value,), name, count, is_sound=kind == "sound")
        return sorted(windows.values(), key=_order)

    def _rows(self, where: str, *, newest: bool = False, spans: TimeSpans | None = None) -> list[dict[str, Any]]:
        self._check()
        if spans is not None:
            return self._rows_of(spans, where)
        order = [ColumnOrdering(column_name="start_ns", ascending=not newest)]
        search = self._index.table.search().where(where).order_by(order).select(_COLUMNS)
        return self._not_too_many(search.limit(MAX_WINDOWS + 1).to_list())

    def _rows_of(self, spans: TimeSpans, where: str) -> list[dict[str, Any]]:
        """Return the rows that overlap one of many intervals, from one read of all: a query for each takes longer."""
        rows: list[dict[str, Any]] = []
        for batch in self._index.table.search().where(where).select(_COLUMNS).to_batches(_BATCH_ROWS):
            self._check()
            is_in = spans.overlap(batch["start_ns"].to_numpy(), batch["end_ns"].to_numpy())
            rows += batch.filter(is_in).to_pylist()
            if len(rows) > _BATCH_ROWS + MAX_WINDOWS:
                rows = sorted(rows, key=lambda row: row["start_ns"])[: MAX_WINDOWS + 1]
        return self._not_too_many(sorted(rows, key=lambda row: row["start_ns"]))

    def _where(self, scope: AskScope, part: str | None = None) -> str:
        """Return the condition of the rows of a scope that may be looked at. Every read has it."""
        return _where(self.within(scope), part)

    def _not_too_many(self, rows: list[Row]) -> list[Row]:
        """Cut rows that were read with one more than is allowed, and remember that they were cut."""
        self.is_cut |= len(rows) > MAX_WINDOWS
        return rows[:MAX_WINDOWS]


def _where(scope: AskScope, part: str | None = None) -> str:
    conditions = ["part != 'meta'" if part is None else f"part = '{part}'"]
    if scope.streams:
        quoted = ", ".join("'" + stream.replace("'", "''") + "'" for stream in scope.streams)
        conditions.append(f"stream IN ({quoted})")
    if scope.since_ns is not None:
        conditions.append(f"end_ns > {scope.since_ns}")
    if scope.until_ns is not None:
        conditions.append(f"start_ns < {scope.until_ns}")
    return " AND ".join(conditions)


def _literals(texts: Iterable[str]) -> str:
    """Return texts as SPARQL writes them. JSON writes characters beyond the first plane in another way."""
    return ", ".join(str(Literal(text)) for text in texts)


def _cues(rows: Iterable[Mapping[str, Any]], scope: AskScope, wanted: Callable[[str], bool]) -> list[Occurrence]:
    """Return the cues in rows, each once, with all results that hold it: a cue may overlap two windows."""
    found: dict[tuple[str, int, int, str], list[str]] = {}
    names: dict[str, tuple[str, ...]] = {}
    for row in sorted(rows, key=lambda row: (row["stream"], row["start_ns"])):
        for cue in _details(row).get("cues", ()):
            if scope.overlaps(cue["start_ns"], cue["end_ns"]) and wanted(cue["text"]):
                found.setdefault((row["stream"], cue["start_ns"], cue["end_ns"], cue["text"]), []).append(row["result"])
                if "names" in cue:
                    names[cue["text"]] = tuple(cue["names"])
    cues = [
        Occurrence(*key[:3], tuple(results), " ".join(key[3].split()), is_cue=True, names=names.get(key[3]))
        for key, results in found.items()
    ]
    return sorted(cues, key=_order)


def _says(term: str) -> Callable[[str], bool]:
    """Return a test whether a cue says all words of a term. The index finds windows, whose cues may each say one."""
    if CHINESE_OR_JAPANESE.search(term):
        parts = term.split()  # a speaker, and what is said
        return lambda text: all(part in text.casefold() for part in parts)
    words = {_stem(word) for word in _WORD.findall(term.casefold())}
    return lambda text: words <= {_stem(word) for word in _WORD.findall(text.casefold())}


def _stem(word: str) -> str:
    return singular(word).removesuffix("ing").removesuffix("ed")


def _details(row: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(row["details"]) if row["details"] else {}


def _occurrence(row: Mapping[str, Any], text: str, count: int | None = None) -> Occurrence:
    return Occurrence(row["stream"], row["start_ns"], row["end_ns"], (row["result"],), text, count)


def _order(one: Occurrence) -> tuple[int, str, int, str]:
    return one.start_ns, one.stream, one.end_ns, one.text
