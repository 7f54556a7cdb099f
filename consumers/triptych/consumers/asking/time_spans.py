"""Intervals of event time of one stream, and what overlaps any of them. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from triptych.consumers.asking.lookup import Occurrence


@dataclass(frozen=True, slots=True)
class TimeSpans:
    """Disjoint intervals `[start, end)` in order of time: `starts_ns` and `ends_ns`, int64 [N]."""

    starts_ns: np.ndarray
    ends_ns: np.ndarray

    @classmethod
    def of(cls, intervals: Iterable[tuple[int, int]]) -> Self:
        """Return the union of intervals, of which there is one at least."""
        joined: list[list[int]] = []
        for start_ns, end_ns in sorted(intervals):
            if joined and start_ns <= joined[-1][1]:
                joined[-1][1] = max(joined[-1][1], end_ns)
            else:
                joined.append([start_ns, end_ns])
        both = np.array(joined, np.int64)
        return cls(both[:, 0], both[:, 1])

    def overlap(self, starts_ns: np.ndarray, ends_ns: np.ndarray) -> np.ndarray:
        """Return which intervals overlap any of these, bool [M], by their starts and ends, int64 [M]."""
        nearest = np.searchsorted(self.ends_ns, starts_ns, side="right")
        begins = np.append(self.starts_ns, np.iinfo(np.int64).max)[nearest]
        return np.asarray(begins < ends_ns)

    def overlapping(self, found: Iterable[Occurrence]) -> list[Occurrence]:
        """Return those that overlap any of these intervals. All are of the stream."""
        all_found = list(found)
        starts_ns = np.array([one.start_ns for one in all_found], np.int64)
        ends_ns = np.array([one.end_ns for one in all_found], np.int64)
        return [one for one, is_in in zip(all_found, self.overlap(starts_ns, ends_ns), strict=True) if is_in]


def spans_by_stream(found: Iterable[Occurrence]) -> dict[str, TimeSpans]:
    """Return when something was, by stream."""
    intervals: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for one in found:
        intervals[one.stream].append((one.start_ns, one.end_ns))
    return {stream: TimeSpans.of(of_stream) for stream, of_stream in intervals.items()}
