"""Which boxes of persons count: certain ones, and doubtful ones with a face where a head would be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from triptych.models.detection.boxes import FoundBox

PERSON: Final = "person"
FACE: Final = "face"
CERTAIN_PERSON_THRESHOLD: Final = 0.4
"""The score from which a person counts without a face: 0.45 finds nobody in 5 more of 40 pictures with people."""
_HEAD_SHARE: Final = 0.5
"""A head is in this upper share of a person's box, whose lower edge may be that of the picture."""


def drop_doubtful_persons(found: Sequence[FoundBox], threshold: float) -> list[FoundBox]:
    """Return what was found, without the persons below a threshold that no face of their own confirms.

    A face confirms one person at most: the best one in whose upper half its centre lies.

    Args:
        found: persons, faces and others, in any order.
        threshold: the score from which a person needs no face.
    """
    unused = [each.box for each in found if each.label == FACE]
    kept = [each for each in found if each.label != PERSON]
    for person in sorted((each for each in found if each.label == PERSON), key=lambda each: -each.score):
        own = next((face for face in unused if _is_head_of(face, person.box)), None)
        if own is not None:
            unused.remove(own)
        if own is not None or person.score >= threshold:
            kept.append(person)
    return kept


def _is_head_of(face: Sequence[float], person: Sequence[float]) -> bool:
    centre_x, centre_y = (face[0] + face[2]) / 2, (face[1] + face[3]) / 2
    left, top, right, bottom = person
    return left <= centre_x <= right and top <= centre_y <= top + _HEAD_SHARE * (bottom - top)
