"""What is remembered of closed windows while they may be revised, as a value and as JSON (rules 23 to 26).

It is a part of the state in every result, there only where late items revise windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from triptych.worker.alignment.entry import READING_ORDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from triptych.schemas.names import Modality
    from triptych.schemas.results import ClosedBy, State

_STATES: Final[tuple[State, ...]] = ("present", "held", "empty", "idle", "absent")
_STATE_OF: Final[Mapping[str, State]] = {state[0]: state for state in _STATES}

Added = dict["Modality", int]
"""How many items came for a window since its last result, by modality."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """What was said of a window when its result was last issued.

    `states` are in the order of reading; `held` is the offset of the frame that stood in.
    """

    closed_by: ClosedBy
    skipped: int
    dead: int
    states: tuple[State, ...]
    held: int | None
    revision: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedSnapshot:
    """The closed windows of one stream that may be revised, by their indices on a grid.

    `bottom` is the oldest of them; `since_ns` is the arrival of the first late item whose revision is still to come;
    `held` is the offset of the frame that stands in for the next windows; `lives_since_ns` the clock of the last first
    result.
    """

    size_ns: int
    hop_ns: int
    bottom: int
    issues: Mapping[int, Issue]
    added: Mapping[int, Added]
    since_ns: int | None
    held: int | None
    lives_since_ns: int

    def to_document(self) -> dict[str, object]:
        """Return it as values that JSON has; windows in a row of which the same was said are one entry."""
        return {
            "grid": [self.size_ns, self.hop_ns],
            "bottom": self.bottom,
            "issues": [[first, count, *_issue_fields(issue)] for first, count, issue in self._rows()],
            "added": [[index, *(added.get(m, 0) for m in READING_ORDER)] for index, added in self.added.items()],
            "since": self.since_ns,
            "held": self.held,
            "lives": self.lives_since_ns,
        }

    def _rows(self) -> Iterator[tuple[int, int, Issue]]:
        numbered = enumerate(self.issues.items())
        for _, row in groupby(numbered, key=lambda each: (each[1][0] - each[0], each[1][1])):
            indices = [(index, issue) for _, (index, issue) in row]
            yield indices[0][0], len(indices), indices[0][1]

    @classmethod
    def from_document(cls, document: Any) -> ClosedSnapshot:  # noqa: ANN401 (freshly parsed JSON)
        """Return what `to_document` was made of; raise `ValueError`, `KeyError` or `TypeError` for anything else."""
        size_ns, hop_ns = map(int, document["grid"])
        issues: dict[int, Issue] = {}
        for first, count, *fields in document["issues"]:
            issue = _read_issue(fields)
            issues.update((index, issue) for index in range(int(first), int(first) + int(count)))
        added = {
            int(index): {modality: int(count) for modality, count in zip(READING_ORDER, counts, strict=True) if count}
            for index, *counts in document["added"]
        }
        return cls(
            size_ns=size_ns,
            hop_ns=hop_ns,
            bottom=int(document["bottom"]),
            issues=issues,
            added=added,
            since_ns=None if document["since"] is None else int(document["since"]),
            held=None if document["held"] is None else int(document["held"]),
            lives_since_ns=int(document["lives"]),
        )


def _issue_fields(issue: Issue) -> list[object]:
    states = "".join(state[0] for state in issue.states)
    return [issue.revision, issue.closed_by, issue.skipped, issue.dead, states, issue.held]


def _read_issue(fields: Any) -> Issue:  # noqa: ANN401 (freshly parsed JSON)
    revision, closed_by, skipped, dead, states, held = fields
    return Issue(
        revision=int(revision),
        closed_by=closed_by,
        skipped=int(skipped),
        dead=int(dead),
        states=tuple(_STATE_OF[state] for state in states),
        held=None if held is None else int(held),
    )
