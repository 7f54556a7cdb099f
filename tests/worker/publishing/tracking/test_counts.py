"""Counts of the objects in the pictures of a window."""

from __future__ import annotations

from triptych.models.prediction import PredictedDetection
from triptych.schemas.perception.objects import ObjectCount
from triptych.worker.publishing.tracking.counts import count_objects, published_detections


def seen(time_ns: int, label: str) -> PredictedDetection:
    """Return a detection."""
    return PredictedDetection(time_ns, label, 0.5, (0.0, 0.0, 1.0, 1.0))


def test_counts_are_taken_over_all_pictures() -> None:
    """Also over one that shows nothing: two cars in one of three pictures are none in the median."""
    detections = [seen(1, "car"), seen(1, "car"), seen(1, "dog"), seen(2, "dog")]
    assert count_objects(detections, [1, 2, 3]) == {
        "car": ObjectCount(median=0.0, largest=2),
        "dog": ObjectCount(median=1.0, largest=1),
    }


def test_people_are_the_larger_of_persons_and_faces_in_each_picture() -> None:
    """Not over the window: one picture shows two persons, the other three faces of them and of others."""
    detections = [*[seen(1, "person")] * 2, seen(1, "face"), seen(2, "person"), *[seen(2, "face")] * 3]
    counts = count_objects(detections, [1, 2])
    assert counts["people"] == ObjectCount(median=2.5, largest=3)
    assert (counts["person"].largest, counts["face"].largest) == (2, 3)


def test_pictures_without_anything_have_no_counts() -> None:
    """They were examined: the counts are empty, not missing."""
    assert count_objects([], [1, 2]) == {}


def test_scores_and_boxes_are_rounded() -> None:
    """A result has whole pixels, and digits that mean something."""
    (rounded,) = published_detections([PredictedDetection(7, "face", 0.123456, (1.4, 2.6, 10.5, 20.49))])
    assert (rounded.score, rounded.box, rounded.track) == (0.123, (1, 3, 10, 20), None)
