"""How two models differ on one window. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from triptych.models.prediction import WindowPrediction

Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class HeadDifference:
    """Of one head: whether the best labels differ, and the distance of the scores, in [0, 1]."""

    head: str
    differs: bool
    distance: float


def differences(one: WindowPrediction, other: WindowPrediction) -> tuple[HeadDifference, ...]:
    """Compare the heads that both have, by name. A head that says a number has no labels to compare."""
    ours, theirs = _heads(one), _heads(other)
    return tuple(
        HeadDifference(head, _best(ours[head]) != _best(theirs[head]), total_variation(ours[head], theirs[head]))
        for head in sorted(ours.keys() & theirs.keys())
    )


def total_variation(one: Scores, other: Scores) -> float:
    """Return half the sum of what the scores differ by: 0 for the same, 1 for nothing in common.

    A label that is not named has a score of 0. Scores of labels that do not exclude one another may sum to more than 1;
    they are divided by the larger of the two sums.
    """
    apart = sum(abs(one.get(label, 0.0) - other.get(label, 0.0)) for label in one.keys() | other.keys())
    return min(1.0, apart / 2 / max(1.0, sum(one.values()), sum(other.values())))


def _heads(prediction: WindowPrediction) -> dict[str, Scores]:
    heads: dict[str, Scores] = {
        head: {said.label: said.score for said in scores}
        for head, scores in (prediction.predictions or {}).items()
        if scores and all(said.confidence is not None for said in scores)
    }
    for name, labels in (("observations.visual", prediction.visual), ("observations.sound", prediction.sound)):
        if labels:
            heads[name] = {seen.label: seen.score for seen in labels}
    return heads


def _best(scores: Scores) -> str:
    """Return the label that is named first among those of the highest score."""
    return max(scores, key=lambda label: scores[label])
