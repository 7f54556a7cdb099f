"""Format a comparison for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from triptych.consumers.comparison.compare import Comparison

_SHOWN_CHARACTERS: Final = 100


def comparison_lines(outcome: Comparison, left: str, right: str) -> Iterator[str]:
    """Return the outcome as lines: totals first, then each field with its largest difference."""
    yield f"{outcome.same} windows equal, {outcome.differing} differ"
    for name, only in ((left, outcome.only_left), (right, outcome.only_right)):
        if only:
            yield f"only {name}: {len(only)} windows, the first is {only[0]}"
    for path, found in outcome.fields.items():
        by = "" if found.largest is None else f", by {found.largest:g} at most"
        yield f"{path}: differs in {found.results} windows{by}"
        if found.example is not None:
            result_id, example = found.example
            yield f"  {result_id} {example.path}: {_shown(example.left)} | {_shown(example.right)}"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
