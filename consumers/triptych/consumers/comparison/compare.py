"""Two pipelines' results, window by window: which only one of them has, and where the others differ. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

from triptych.consumers.subscription.result_buffer import Delivery

VARYING: Final = frozenset({"published_ns", "arrival_ms", "stage_ms"})
"""What two runs over the same records say differently."""

_ABSENT: Final = "nothing"


@dataclass(frozen=True, slots=True)
class ResultDifference:
    """One place in a result where two pipelines differ."""

    path: str
    left: object
    right: object

    @property
    def size(self) -> float | None:
        """How far apart two numbers are; None where these are not both numbers."""
        if isinstance(self.left, bool) or isinstance(self.right, bool):
            return None
        if isinstance(self.left, int | float) and isinstance(self.right, int | float):
            return abs(self.left - self.right)
        return None


@dataclass(slots=True)
class Field:
    """How often a field differs, and by how much at most where it is a number."""

    results: int = 0
    largest: float | None = None
    example: tuple[str, ResultDifference] | None = None

    def note(self, result_id: str, found: ResultDifference) -> None:
        """Take in one difference."""
        self.results += 1
        if self.example is None:
            self.example = result_id, found
        if found.size is not None and (self.largest is None or found.size > self.largest):
            self.largest, self.example = found.size, (result_id, found)


@dataclass(slots=True)
class Comparison:
    """What comparing came to. The ids that one side alone has are in the order of publication."""

    same: int = 0
    differing: int = 0
    only_left: list[str] = field(default_factory=list)
    only_right: list[str] = field(default_factory=list)
    fields: dict[str, Field] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Say whether both have the same results."""
        return not (self.differing or self.only_left or self.only_right)


def compare(left: Iterable[Delivery], right: Iterable[Delivery], *, tolerance: float) -> Comparison:
    """Pair results by id and compare them; what has found its pair is let go of, so little is held of equal runs."""
    outcome = Comparison()
    waiting: tuple[dict[str, bytes], dict[str, bytes]] = ({}, {})
    for pair in zip_longest(left, right):
        for side, delivery in enumerate(pair):
            if delivery is None:
                continue
            other = waiting[1 - side].pop(delivery.result.id, None)
            if other is None:
                waiting[side][delivery.result.id] = delivery.document
                continue
            documents = (other, delivery.document) if side else (delivery.document, other)
            one, another = map(_said, documents)
            _note(outcome, delivery.result.id, list(differences(one, another, tolerance=tolerance)))
    outcome.only_left, outcome.only_right = list(waiting[0]), list(waiting[1])
    return outcome


def differences(left: object, right: object, path: str = "", *, tolerance: float) -> Iterator[ResultDifference]:
    """Walk through two JSON values; numbers within the tolerance are equal."""
    match left, right:
        case dict(), dict():
            for name in left | right:
                inner = f"{path}.{name}" if path else str(name)
                yield from differences(left.get(name, _ABSENT), right.get(name, _ABSENT), inner, tolerance=tolerance)
        case list(), list() if len(left) == len(right):
            for at, (one, other) in enumerate(zip(left, right, strict=True)):
                yield from differences(one, other, f"{path}[{at}]", tolerance=tolerance)
        case _:
            found = ResultDifference(path, left, right)
            if left != right and (found.size is None or found.size > tolerance):
                yield found


def _said(document: bytes) -> dict[str, object]:
    whole: dict[str, object] = json.loads(document)
    return {name: value for name, value in whole.items() if name not in VARYING}


def _note(outcome: Comparison, result_id: str, found: list[ResultDifference]) -> None:
    if not found:
        outcome.same += 1
        return
    outcome.differing += 1
    largest: dict[str, ResultDifference] = {}
    for difference in found:
        name = difference.path.partition("[")[0]  # the places of a list count as one field
        if name not in largest or (difference.size or 0) > (largest[name].size or 0):
            largest[name] = difference
    for name, difference in largest.items():
        outcome.fields.setdefault(name, Field()).note(result_id, difference)
