"""Compares the predictions of two models for one window. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from triptych.models.prediction import WindowPrediction

Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class HeadDifference:
    """The difference of one head: whether the top labels differ, and the distance of the scores in [0, 1]."""

    head: str
    differs: bool
    distance: float


def differences(one: WindowPrediction, other: WindowPrediction) -> tuple[HeadDifference, ...]:
    """Compare the heads that both models have, by name. Regression heads have no labels and are left out."""
    ours, theirs = _heads(one), _heads(other)
    return tuple(
        HeadDifference(head, _best(ours[head]) != _best(theirs[head]), total_variation(ours[head], theirs[head]))
        for head in sorted(ours.keys() & theirs.keys())
    )


def total_variation(one: Scores, other: Scores) -> float:
    """Return the total variation distance: 0 for equal scores, 1 for disjoint ones.

    A missing label has the score 0. Multi-label scores may sum to more than 1; they are divided by the larger of the
    two sums.
    """
    difference = sum(abs(one.get(label, 0.0) - other.get(label, 0.0)) for label in one.keys() | other.keys())
    return min(1.0, difference / 2 / max(1.0, sum(one.values()), sum(other.values())))


def _heads(prediction: WindowPrediction) -> dict[str, Scores]:
    heads: dict[str, Scores] = {
        head: {label.label: label.score for label in scores}
        for head, scores in (prediction.predictions or {}).items()
        if scores and all(label.confidence is not None for label in scores)
    }
    for name, labels in (("observations.visual", prediction.visual), ("observations.sound", prediction.sound)):
        if labels:
            heads[name] = {label.label: label.score for label in labels}
    return heads


def _best(scores: Scores) -> str:
    """Return the label with the highest score, the first one of several."""
    return max(scores, key=lambda label: scores[label])
