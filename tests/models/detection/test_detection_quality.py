"""The benchmark of the detector counts correctly, and its truth is well formed."""

from __future__ import annotations

import json

from benchmarks.detection_quality import TRUTH, Setting, Tally, chosen, tally
from triptych.models.detection.boxes import FoundBox
from triptych.models.detection.default_detector import DEFAULT_LABELS


def face(score: float, left: float) -> FoundBox:
    """Return a face that is a tenth of the picture wide."""
    return FoundBox("face", score, (left, 0.1, left + 0.1, 0.3))


def test_a_point_is_found_once() -> None:
    """A second box around it is wrong, and a point in no box is missed."""
    found = [face(0.9, 0.1), face(0.8, 0.12), face(0.7, 0.5)]
    assert tally(found, [(0.15, 0.2), (0.8, 0.2)]) == Tally(right=1, wrong=2, missed=1)
    assert tally(found, [(0.15, 0.2), (0.16, 0.2), (0.55, 0.2)]) == Tally(right=3, wrong=0, missed=0)


def test_a_head_is_in_the_upper_part_of_a_person() -> None:
    """A box around the legs alone does not count."""
    person = FoundBox("person", 0.9, (0.1, 0.1, 0.3, 0.9))
    assert tally([person], [(0.2, 0.4)], height=0.5) == Tally(right=1)
    assert tally([person], [(0.2, 0.6)], height=0.5) == Tally(wrong=1, missed=1)


def test_thresholds_remove_boxes() -> None:
    """Each label has its own; a person may be confirmed by a face."""
    person = FoundBox("person", 0.3, (0.0, 0.1, 0.4, 0.9))
    car = FoundBox("car", 0.45, (0.5, 0.5, 0.9, 0.9))
    setting = Setting(face=0.5, person=0.4, confirmed_person=0.2, objects=0.4)
    assert chosen([face(0.6, 0.1), person, car], setting) == [face(0.6, 0.1), car, person]
    assert chosen([face(0.4, 0.1), person, car], setting) == [car]


def test_the_truth_is_in_the_pictures() -> None:
    """Points are shares of the sides, and labels are those of the detector."""
    for entry in json.loads(TRUTH.read_text(encoding="utf-8"))["pictures"]:
        assert all(0 <= share <= 1 for point in entry["faces"] + entry["heads"] for share in point), entry["picture"]
        assert set(entry["labels"]) <= set(DEFAULT_LABELS), entry["picture"]
