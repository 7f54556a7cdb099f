"""Format a comparison for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from triptych.consumers.comparison.compare import Comparison
from triptych.consumers.comparison.difference import FieldDifferences
from triptych.consumers.comparison.overlap import OverlapComparison
from triptych.units import NS_PER_S

_SHOWN_CHARACTERS: Final = 100
_SHOWN_LENGTHS: Final = 5


def comparison_lines(outcome: Comparison, left: str, right: str) -> Iterator[str]:
    """Return the outcome as lines: totals first, then each field with its largest difference."""
    yield f"{outcome.same} windows equal, {outcome.differing} differ"
    for name, only in ((left, outcome.only_left), (right, outcome.only_right)):
        if only:
            yield f"only {name}: {len(only)} windows, the first is {only[0]}"
    yield from _field_lines(outcome.fields)
    if outcome.overlap.is_of_other_windows:
        yield from _overlap_lines(outcome.overlap, left, right)


def _overlap_lines(overlap: OverlapComparison, left: str, right: str) -> Iterator[str]:
    yield (
        f"{left} has windows of {_lengths(overlap.left_lengths_ns)}, {right} of {_lengths(overlap.right_lengths_ns)}: "
        "compared by overlap, in what means the same in windows of any length"
    )
    if not overlap.pairs:
        yield "no windows of the same stream overlap: do both pipelines have results of the same time?"
        return
    yield f"{overlap.pairs} windows of {left} with the window of {right} that overlaps it most: {overlap.same} alike"
    yield from _field_lines(overlap.fields)


def _lengths(lengths_ns: frozenset[int]) -> str:
    return ", ".join(f"{length_ns / NS_PER_S:g} s" for length_ns in sorted(lengths_ns)[:_SHOWN_LENGTHS])


def _field_lines(fields: Mapping[str, FieldDifferences]) -> Iterator[str]:
    for path, found in fields.items():
        by = "" if found.largest is None else f", by {found.largest:g} at most"
        yield f"{path}: differs in {found.results} windows{by}"
        if found.example is not None:
            result_id, example = found.example
            yield f"  {result_id} {example.path}: {_shown(example.left)} | {_shown(example.right)}"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
