"""Compare results of different windows by overlap, where two pipelines cut the time differently. No I/O.

Each window of the one pipeline is compared with the window of the other that overlaps it most, and
only in what means the same in windows of any length: states, leading labels, shares and levels.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from triptych.consumers.comparison.difference import FieldDifferences, ResultDifference
from triptych.schemas.results import Result


@dataclass(slots=True)
class OverlapComparison:
    """The outcome for windows that only one side has.

    `pairs` were compared. `left_lengths_ns` and `right_lengths_ns` are the lengths of all windows without counterpart.
    """

    pairs: int = 0
    same: int = 0
    left_lengths_ns: frozenset[int] = frozenset()
    right_lengths_ns: frozenset[int] = frozenset()
    fields: dict[str, FieldDifferences] = field(default_factory=dict)

    @property
    def is_of_other_windows(self) -> bool:
        """Whether both sides have windows without a counterpart, and of other lengths."""
        return bool(self.left_lengths_ns and self.right_lengths_ns) and self.left_lengths_ns != self.right_lengths_ns


def compare_overlapping(left: Iterable[Result], right: Iterable[Result], *, tolerance: float) -> OverlapComparison:
    """Compare results that have no counterpart with those of the other side that overlap them most."""
    ours, theirs = _by_stream(left), _by_stream(right)
    outcome = OverlapComparison(left_lengths_ns=_lengths(ours), right_lengths_ns=_lengths(theirs))
    if not outcome.is_of_other_windows:
        return outcome
    for stream in ours.keys() & theirs.keys():
        longest_ns = max(result.end_ns - result.start_ns for result in theirs[stream])
        starts = [result.start_ns for result in theirs[stream]]
        for result in ours[stream]:
            other = _most_overlapping(result, theirs[stream], starts, longest_ns)
            if other is not None:
                _note(outcome, result, other, tolerance)
    return outcome


def comparable_fields(result: Result) -> dict[str, object]:
    """Return what means the same in windows of any length."""
    observed = result.observations
    found: dict[str, object] = {f"modalities.{name}.state": report.state for name, report in result.modalities}
    found |= {
        "observations.visual": observed.visual[0].label if observed.visual else None,
        "observations.speech_share": observed.speech_share,
        "observations.loudness_lufs": observed.loudness_lufs,
        "observations.language": observed.language,
    }
    for head, said in result.predictions.items():
        best = said[0] if said else None
        is_number = best is not None and best.confidence is None
        found[f"predictions.{head}"] = None if best is None else best.score if is_number else best.label
    return found


def _by_stream(results: Iterable[Result]) -> dict[str, list[Result]]:
    found: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        found[result.stream].append(result)
    for ordered in found.values():
        ordered.sort(key=lambda result: (result.start_ns, result.revision))
    return found


def _lengths(results: dict[str, list[Result]]) -> frozenset[int]:
    return frozenset(result.end_ns - result.start_ns for ordered in results.values() for result in ordered)


def _most_overlapping(
    result: Result, others: Sequence[Result], starts: Sequence[int], longest_ns: int
) -> Result | None:
    """Return the window that overlaps `result` most, the first of equals; of its revisions the newest."""
    first, last = bisect_left(starts, result.start_ns - longest_ns), bisect_left(starts, result.end_ns)
    best, most_ns = None, 0
    for other in others[first:last]:
        overlap_ns = min(result.end_ns, other.end_ns) - max(result.start_ns, other.start_ns)
        if overlap_ns > most_ns or (best is not None and overlap_ns == most_ns and other.window == best.window):
            best, most_ns = other, overlap_ns
    return best


def _note(outcome: OverlapComparison, left: Result, right: Result, tolerance: float) -> None:
    outcome.pairs += 1
    ours, theirs = comparable_fields(left), comparable_fields(right)
    differs = False
    for name in ours | theirs:
        found = ResultDifference(name, ours.get(name), theirs.get(name))
        if found.left != found.right and (found.size is None or found.size > tolerance):
            differs = True
            outcome.fields.setdefault(name, FieldDifferences()).note(f"{left.id} and {right.id}", found)
    outcome.same += not differs
