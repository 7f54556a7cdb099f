"""Which detection belongs to which track."""

from __future__ import annotations

import numpy as np
import pytest

from triptych.worker.publishing.tracking.association import Box, ObjectTrack, Sighting, associate, overlaps

SECOND = 1_000_000_000


def box(centre_x: float, *, width: float = 40, height: float = 100, centre_y: float = 100) -> Box:
    """Return a box about a centre."""
    return centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2


def track(number: int, *places: tuple[float, Box], label: str = "person") -> ObjectTrack:
    """Return a track with sightings, each a time in seconds and a box."""
    return ObjectTrack(number, label, tuple(Sighting(round(at_s * SECOND), place) for at_s, place in places))


def test_overlap_is_the_intersection_over_the_union() -> None:
    """Half of one box covers half of another; boxes that touch do not overlap."""
    others = np.array([(5.0, 0, 15, 10), (10, 0, 20, 10), (0, 0, 10, 10)])
    assert overlaps(np.array([(0.0, 0, 10, 10)]), others).tolist() == [[pytest.approx(1 / 3), 0, 1]]


def test_a_detection_belongs_to_the_track_that_it_overlaps_most() -> None:
    """In whatever order tracks and detections come."""
    tracks = [track(7, (0, box(100))), track(8, (0, box(130)))]
    seen = [("person", box(133)), ("person", box(104))]
    assert associate(tracks, seen, SECOND // 2) == {0: 8, 1: 7}
    assert associate(tracks[::-1], seen[::-1], SECOND // 2) == {0: 7, 1: 8}


def test_labels_are_never_mixed() -> None:
    """A dog where a person was is another object."""
    assert associate([track(1, (0, box(100)))], [("dog", box(100))], SECOND) == {}


def test_a_walking_person_is_followed_without_overlap() -> None:
    """At one picture every 2 s: 1.4 diagonals away is within reach, 2 are not. After 0.1 s neither is."""
    diagonal = 107.7
    walker = track(1, (0, box(100)))
    assert associate([walker], [("person", box(100 + 1.4 * diagonal))], 2 * SECOND) == {0: 1}
    assert associate([walker], [("person", box(100 + 2 * diagonal))], 2 * SECOND) == {}
    assert associate([walker], [("person", box(100 + 1.4 * diagonal))], SECOND // 10) == {}


def test_an_object_of_another_size_is_another_object() -> None:
    """Unless the boxes overlap: a face that comes nearer."""
    small = track(1, (0, box(100)))
    assert associate([small], [("person", box(180, width=90, height=220))], SECOND) == {}
    assert associate([small], [("person", box(110, width=70, height=170))], SECOND) == {0: 1}


def test_two_people_who_walk_one_behind_the_other_keep_their_tracks() -> None:
    """The second comes to where the first was: only the velocity tells them apart."""
    tracks = [track(1, (0, box(100)), (1, box(160))), track(2, (0, box(40)), (1, box(100)))]
    assert associate(tracks, [("person", box(160)), ("person", box(220))], 2 * SECOND) == {0: 2, 1: 1}


def test_an_object_that_stops_keeps_its_track() -> None:
    """It is where it was last, not where its velocity led."""
    assert associate([track(1, (0, box(100)), (1, box(260)))], [("person", box(262))], 2 * SECOND) == {0: 1}


def test_the_same_picture_again_belongs_to_the_same_tracks() -> None:
    """Overlapping windows may examine it twice, the later sightings already known."""
    one, two = track(1, (1, box(100)), (2, box(160))), track(2, (1, box(160)), (2, box(220)))
    assert associate([one, two], [("person", box(100)), ("person", box(160))], SECOND) == {0: 1, 1: 2}
    assert one.seen(Sighting(SECOND, box(100))) == one
