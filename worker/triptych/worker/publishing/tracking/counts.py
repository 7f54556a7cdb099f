"""How many objects of each label the pictures of one window show. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Final

from triptych.models.prediction import PredictedDetection
from triptych.schemas.perception.objects import Detection, ObjectCount

PEOPLE: Final = "people"
"""The name of the count of people: in each picture the larger of the numbers of persons and of faces."""
_PERSON, _FACE = "person", "face"
_SCORE_DIGITS: Final = 3


def published_detections(detections: Sequence[PredictedDetection]) -> tuple[Detection, ...]:
    """Return detections as a result has them: scores of three digits, boxes of whole pixels."""
    return tuple(
        Detection(
            time_ns=each.time_ns,
            label=each.label,
            score=round(each.score, _SCORE_DIGITS),
            box=tuple(round(edge) for edge in each.box),
        )
        for each in detections
    )


def count_objects(detections: Sequence[PredictedDetection], picture_times_ns: Sequence[int]) -> dict[str, ObjectCount]:
    """Return the counts by label, and of people, over all pictures that were examined, also those that show nothing.

    Args:
        detections: what was detected in the pictures.
        picture_times_ns: the time of each picture.
    """
    pictures = {time_ns: Counter[str]() for time_ns in picture_times_ns}
    for each in detections:
        pictures[each.time_ns][each.label] += 1
    for numbers in pictures.values():
        if people := max(numbers[_PERSON], numbers[_FACE]):
            numbers[PEOPLE] = people
    labels = {label for numbers in pictures.values() for label, number in numbers.items() if number}
    return {label: _over([numbers[label] for numbers in pictures.values()]) for label in sorted(labels)}


def _over(numbers: Sequence[int]) -> ObjectCount:
    return ObjectCount(median=float(median(numbers)), largest=max(numbers))
