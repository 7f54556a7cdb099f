"""What came of the windows, judged against what an undisturbed worker says of the same records. Pure."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from triptych.consumers.comparison.compare import ResultDifference, differences

VARYING: Final = frozenset({"published_ns", "stage_ms"})
"""All that two workers may say differently of one window."""
TOLERANCE: Final = 1e-4
NS_PER_S: Final = 1_000_000_000


@dataclass(slots=True)
class Verdict:
    """What one place (the topic, Redis, what a subscriber was given) holds, beside what it should hold."""

    place: str
    windows: int = 0
    lost: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    differing: dict[str, list[ResultDifference]] = field(default_factory=dict)
    duplicated: list[str] = field(default_factory=list)
    revised: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether everything is there, and as it should be; repeats are another question."""
        return not (self.lost or self.unexpected or self.differing)


def judge(place: str, found: Iterable[bytes], expected: Iterable[bytes]) -> Verdict:
    """Compare the results of a place, as JSON, with those that should be there; each copy is compared."""
    wanted = {said["id"]: said for said in map(_said, expected)}
    verdict = Verdict(place)
    counts: Counter[str] = Counter()
    for said in map(_said, found):
        name = said["id"]
        counts[name] += 1
        verdict.revised += said["revision"] > 0
        if name in wanted and "bound" not in {said["closed_by"], wanted[name]["closed_by"]}:
            differing = list(differences(said, wanted[name], tolerance=TOLERANCE))
            if differing:
                verdict.differing[name] = differing
    verdict.windows = len(counts)
    verdict.lost = sorted(wanted.keys() - counts.keys())
    verdict.unexpected = sorted(counts.keys() - wanted.keys())
    verdict.duplicated = sorted(name for name, count in counts.items() if count > 1)
    return verdict


def _said(document: bytes) -> dict[str, Any]:
    return {name: value for name, value in json.loads(document).items() if name not in VARYING}


def recovery_s(ended_ns: int, published_ns: Mapping[str, Sequence[int]]) -> float | None:
    """Return how long after a moment every stream had published again; None where one never did.

    Args:
        ended_ns: when a fault was over.
        published_ns: when something of each stream was published, in order.
    """
    firsts = [next((at_ns for at_ns in times if at_ns > ended_ns), None) for times in published_ns.values()]
    later = [at_ns for at_ns in firsts if at_ns is not None]
    return (max(later) - ended_ns) / NS_PER_S if later and len(later) == len(firsts) else None


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that was done; moments are of the wall clock, `to_ns` when all was whole again."""

    kind: str
    target: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long it took after the faults of one kind until every stream was published again.

    The median is of those `alone`, whom no other fault met before that; the longest is of all, and often takes several
    faults together. None where there was none, or publishing never went on.
    """

    kind: str
    faults: int
    alone: int
    median_s: float | None
    longest_s: float | None


def recoveries(faults: Sequence[Fault], published_ns: Mapping[str, Sequence[int]]) -> list[Recovery]:
    """Return the recoveries by kind, in alphabetical order."""
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
