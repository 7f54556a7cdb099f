"""Comparison of published results with those of an undisturbed worker, and measurement of recovery times. Pure."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, Final

from triptych.consumers.comparison.compare import ResultDifference, differences

VARYING: Final = frozenset({"published_ns", "stage_ms"})
"""Fields that may differ between two workers."""
REVISION: Final = frozenset({"id", "revision", "revised"})
"""Fields that also differ where two workers revised a window a different number of times."""
TOLERANCE: Final = 1e-4
NS_PER_S: Final = 1_000_000_000

Document = dict[str, Any]


@dataclass(slots=True)
class ResultComparison:
    """The results in one place (the topic, Redis, a subscriber) compared with the expected ones.

    `revised` counts the revisions, and `otherwise` the windows that were revised another number of times: after a crash
    the late items of a window may be collected into another number of revisions. The newest ones are equal.
    """

    place: str
    windows: int = 0
    lost: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    differing: dict[str, list[ResultDifference]] = field(default_factory=dict)
    duplicated: list[str] = field(default_factory=list)
    revised: int = 0
    otherwise: list[str] = field(default_factory=list)

    @property
    def is_correct(self) -> bool:
        """Whether all results are there and equal. Duplicates are allowed."""
        return not (self.lost or self.unexpected or self.differing)


def compare_results(place: str, found: Iterable[bytes], expected: Iterable[bytes]) -> ResultComparison:
    """Compare the results in a place, as JSON documents, with the expected ones. Every copy is compared."""
    comparison = ResultComparison(place)
    wanted, given = _by_window(expected), _by_window(found)
    copies = Counter(document["id"] for documents in given.values() for document in documents)
    comparison.windows = len(given)
    comparison.revised = sum(document["revision"] > 0 for documents in given.values() for document in documents)
    comparison.duplicated = sorted(name for name, count in copies.items() if count > 1)
    for window in sorted(wanted.keys() | given.keys()):
        _compare_window(comparison, window, given.get(window, []), wanted.get(window, []))
    return comparison


def _by_window(documents: Iterable[bytes]) -> dict[str, list[Document]]:
    windows: dict[str, list[Document]] = {}
    for document in map(json.loads, documents):
        windows.setdefault(document["id"].rpartition("/")[0], []).append(document)
    return windows


def _compare_window(
    comparison: ResultComparison, window: str, given: Sequence[Document], wanted: Sequence[Document]
) -> None:
    """Compare the results of one window: each revision, or the newest ones where their numbers differ."""
    if not given:
        comparison.lost += sorted(document["id"] for document in wanted)
        return
    if not wanted:
        comparison.unexpected += sorted({document["id"] for document in given})
        return
    newest_given, newest_wanted = max(given, key=_revision), max(wanted, key=_revision)
    if _revision(newest_given) != _revision(newest_wanted):
        comparison.otherwise.append(window)
        _compare_documents(comparison, newest_given, newest_wanted, ignored=VARYING | REVISION)
        return
    by_id = {document["id"]: document for document in wanted}
    names = {document["id"] for document in given}
    comparison.lost += sorted(by_id.keys() - names)
    comparison.unexpected += sorted(names - by_id.keys())
    for document in given:
        if document["id"] in by_id:
            _compare_documents(comparison, document, by_id[document["id"]], ignored=VARYING)


def _compare_documents(
    comparison: ResultComparison, given: Document, wanted: Document, *, ignored: AbstractSet[str]
) -> None:
    if "bound" in {given["closed_by"], wanted["closed_by"]}:
        return
    ours, theirs = ({name: value for name, value in one.items() if name not in ignored} for one in (given, wanted))
    differing = list(differences(ours, theirs, tolerance=TOLERANCE))
    if differing:
        comparison.differing[given["id"]] = differing


def _revision(document: Document) -> int:
    return int(document["revision"])


def recovery_s(ended_ns: int, published_ns: Mapping[str, Sequence[int]]) -> float | None:
    """Return the seconds from a time until every stream has published again, or None if one never does.

    Args:
        ended_ns: end of a fault.
        published_ns: times of publication of each stream, ascending.
    """
    firsts = [next((at_ns for at_ns in times if at_ns > ended_ns), None) for times in published_ns.values()]
    later = [at_ns for at_ns in firsts if at_ns is not None]
    return (max(later) - ended_ns) / NS_PER_S if later and len(later) == len(firsts) else None


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault. Times are wall-clock; `to_ns` is the time when it was repaired."""

    kind: str
    target: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long it took, after faults of one kind, until every stream had published again.

    `alone` counts the faults that no other one overlapped until recovery; the median is that of these. The longest time
    is that of all, and often has several causes. None if there was no such fault, or a stream never published again.
    """

    kind: str
    faults: int
    alone: int
    median_s: float | None
    longest_s: float | None


def recoveries(faults: Sequence[Fault], published_ns: Mapping[str, Sequence[int]]) -> list[Recovery]:
    """Return the recovery times by kind of fault, in alphabetical order."""
    found = []
    for kind in sorted({fault.kind for fault in faults}):
        own = [fault for fault in faults if fault.kind == kind]
        took_s = [recovery_s(fault.to_ns, published_ns) for fault in own]
        alone_s = [
            seconds
            for fault, seconds in zip(own, took_s, strict=True)
            if seconds is not None and _is_alone(fault, seconds, faults)
        ]
        longest_s = None if None in took_s else max(seconds for seconds in took_s if seconds is not None)
        found.append(Recovery(kind, len(own), len(alone_s), statistics.median(alone_s) if alone_s else None, longest_s))
    return found


def _is_alone(fault: Fault, took_s: float, faults: Iterable[Fault]) -> bool:
    over_ns = fault.to_ns + round(took_s * NS_PER_S)
    return not any(other is not fault and other.from_ns < over_ns and fault.from_ns < other.to_ns for other in faults)
