"""The state of the revisable windows of one stream, as a value and as JSON (alignment rules 23 to 26).

It is the part `closed` of the header `triptych-state`, which is present only if late items may revise a window. See
`docs/alignment.md`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from triptych.schemas.names import Modality
from triptych.schemas.results import ClosedBy, State
from triptych.worker.alignment.entry import READING_ORDER

_STATES: Final[tuple[State, ...]] = ("present", "held", "empty", "idle", "absent")
_STATE_OF: Final[Mapping[str, State]] = {state[0]: state for state in _STATES}

LateCounts = dict["Modality", int]
"""The number of late items of a window since its last result, by modality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSummary:
    """The facts of a window's last result that do not follow from its items.

    `states` has one state for each modality of `READING_ORDER`. `held` is the offset of the held frame.
    """

    closed_by: ClosedBy
    skipped: int
    dead: int
    states: tuple[State, ...]
    held: int | None
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionState:
    """The closed windows of one stream that may be revised. Windows are indices on a grid of `size_ns` and `hop_ns`.

    `first_revisable` is the oldest window that a late item may revise. `first_late_ns` is the arrival time of the first
    late item that is in no result yet. `held` is the offset of the frame that is held for the next windows.
    `ttl_start_ns` is the arrival clock of the last first result (revisions do not prolong the life of a stream).
    """

    size_ns: int
    hop_ns: int
    first_revisable: int
    summaries: Mapping[int, WindowSummary]
    late_counts: Mapping[int, LateCounts]
    first_late_ns: int | None
    held: int | None
    ttl_start_ns: int

    def to_document(self) -> dict[str, object]:
        """Return a JSON document. Consecutive windows with equal summaries share one entry."""
        return {
            "grid": [self.size_ns, self.hop_ns],
            "bottom": self.first_revisable,
            "issues": [[first, count, *_summary_fields(summary)] for first, count, summary in self._runs()],
            "added": [
                [index, *(counts.get(m, 0) for m in READING_ORDER)] for index, counts in self.late_counts.items()
            ],
            "since": self.first_late_ns,
            "held": self.held,
            "lives": self.ttl_start_ns,
        }

    def _runs(self) -> Iterator[tuple[int, int, WindowSummary]]:
        """Yield the first window, the number of windows and the summary of each run of equal summaries."""
        numbered = enumerate(self.summaries.items())
        for _, group in groupby(numbered, key=lambda each: (each[1][0] - each[0], each[1][1])):
            run = [(index, summary) for _, (index, summary) in group]
            yield run[0][0], len(run), run[0][1]

    @classmethod
    def from_document(cls, document: Any) -> RevisionState:  # noqa: ANN401 (freshly parsed JSON)
        """Return the state that a JSON document describes.

        Raises:
            ValueError, KeyError, TypeError: if `to_document` did not make it.
        """
        size_ns, hop_ns = map(int, document["grid"])
        summaries: dict[int, WindowSummary] = {}
        for first, count, *fields in document["issues"]:
            summary = _read_summary(fields)
            summaries.update((index, summary) for index in range(int(first), int(first) + int(count)))
        late_counts = {
            int(index): {modality: int(count) for modality, count in zip(READING_ORDER, counts, strict=True) if count}
            for index, *counts in document["added"]
        }
        return cls(
            size_ns=size_ns,
            hop_ns=hop_ns,
            first_revisable=int(document["bottom"]),
            summaries=summaries,
            late_counts=late_counts,
            first_late_ns=None if document["since"] is None else int(document["since"]),
            held=None if document["held"] is None else int(document["held"]),
            ttl_start_ns=int(document["lives"]),
        )


def _summary_fields(summary: WindowSummary) -> list[object]:
    states = "".join(state[0] for state in summary.states)
    return [summary.revision, summary.closed_by, summary.skipped, summary.dead, states, summary.held]


def _read_summary(fields: Any) -> WindowSummary:  # noqa: ANN401 (freshly parsed JSON)
    revision, closed_by, skipped, dead, states, held = fields
    return WindowSummary(
        revision=int(revision),
        closed_by=closed_by,
        skipped=int(skipped),
        dead=int(dead),
        states=tuple(_STATE_OF[state] for state in states),
        held=None if held is None else int(held),
    )
