"""Association of the detections in one picture with the tracks of a stream: by label, overlap and distance. Pure.

A track is expected where its last two sightings lead at constant velocity. A detection fits it if it overlaps the box
there or where the track was seen last; otherwise by its distance from there, so that a person who walks is followed
also at one picture every 2 s. Pairs of a track and a detection are taken by falling similarity, each track and each
detection once (greedy assignment).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from triptych.units import NS_PER_S

Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge in pixels."""

_LEAST_OVERLAP: Final = 0.1
"""Intersection over union, times the weight of the place, from which boxes count as overlapping."""
_LAST_PLACE_WEIGHT: Final = 0.8
"""An object that goes on as before is more likely than one that has stopped."""
_MOST_STEPS: Final = 2.0
"""For how long, in intervals between two sightings, a velocity is believed."""
_REACH_AT_ONCE: Final = 0.1
_REACH_PER_S: Final = 0.7
_LARGEST_REACH: Final = 1.5
"""How far the centre may be from the expected one, in diagonals of the box: a walking person covers 0.7 in a second."""
_LARGEST_AREA_RATIO: Final = 2.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """A place where a track was seen."""

    time_ns: int
    box: Box


@dataclass(frozen=True, slots=True)
class ObjectTrack:
    """An object of a stream. `sightings` are its last one or two, in time order."""

    number: int
    label: str
    sightings: tuple[Sighting, ...]

    @property
    def last_seen_ns(self) -> int:
        """Event time of the last sighting."""
        return self.sightings[-1].time_ns

    def seen(self, sighting: Sighting) -> ObjectTrack:
        """Return the track after another sighting. Overlapping windows may show the same picture twice."""
        others = [each for each in self.sightings if each.time_ns != sighting.time_ns]
        latest = sorted([*others, sighting], key=lambda each: each.time_ns)[-2:]
        return replace(self, sightings=tuple(latest))


def associate(
    tracks: Collection[ObjectTrack], labelled_boxes: Sequence[tuple[str, Box]], time_ns: int
) -> dict[int, int]:
    """Return which detection belongs to which track: the number of the track by the index of the detection.

    Args:
        tracks: the tracks that may be seen.
        labelled_boxes: label and box of each detection in one picture.
        time_ns: time of the picture.
    """
    pairs = [
        (-similarity, track.number, index)
        for index, (label, box) in enumerate(labelled_boxes)
        for track in tracks
        if track.label == label and (similarity := _similarity(track, box, time_ns)) > 0
    ]
    number_of: dict[int, int] = {}
    taken: set[int] = set()
    for _, number, index in sorted(pairs):
        if index not in number_of and number not in taken:
            number_of[index] = number
            taken.add(number)
    return number_of


def overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union, 0 to 1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (_area(one) + _area(other) - width * height)


def _similarity(track: ObjectTrack, box: Box, time_ns: int) -> float:
    """Return how well a box fits a track: above 1 if it overlaps an expected place, 0 if it is another object."""
    places = _expected_places(track, time_ns)
    covered = max(overlap(place, box) * weight for place, weight in places)
    if covered >= _LEAST_OVERLAP:
        return 1 + covered
    last = track.sightings[-1].box
    if not 1 / _LARGEST_AREA_RATIO <= _area(box) / _area(last) <= _LARGEST_AREA_RATIO:
        return 0.0
    elapsed_s = abs(time_ns - track.last_seen_ns) / NS_PER_S
    reach = min(_REACH_AT_ONCE + _REACH_PER_S * elapsed_s, _LARGEST_REACH) * _diagonal(last)
    expected, _ = places[0]
    return max(0.0, 1 - math.dist(_centre(expected), _centre(box)) / reach)


def _expected_places(track: ObjectTrack, time_ns: int) -> list[tuple[Box, float]]:
    """Return where the track may be now, the likeliest first, each with its weight: where it leads, where it was."""
    *earlier, last = track.sightings
    if not earlier:
        return [(last.box, 1.0)]
    before = earlier[-1]
    steps = min((time_ns - last.time_ns) / (last.time_ns - before.time_ns), _MOST_STEPS)
    (x0, y0), (x1, y1) = _centre(before.box), _centre(last.box)
    dx, dy = (x1 - x0) * steps, (y1 - y0) * steps
    left, top, right, bottom = last.box
    return [((left + dx, top + dy, right + dx, bottom + dy), 1.0), (last.box, _LAST_PLACE_WEIGHT)]


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _area(box: Box) -> float:
    """Return the area of a box, at least one pixel: whole pixels may leave nothing of a small one."""
    return max(1.0, (box[2] - box[0]) * (box[3] - box[1]))


def _diagonal(box: Box) -> float:
    return max(1.0, math.dist(box[:2], box[2:]))
