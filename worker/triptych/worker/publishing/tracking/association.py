"""Association of the detections in one picture with the tracks of a stream: by label, overlap and distance. Pure.

A track is expected where its last two sightings lead at constant velocity. A detection fits it if it overlaps the box
there or where the track was seen last; otherwise by its distance from there, so that a person who walks is followed
also at one picture every 2 s. Pairs of a track and a detection are taken by falling similarity, each track and each
detection once (greedy assignment).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

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
    if not tracks or not labelled_boxes:
        return {}
    ordered = sorted(tracks, key=lambda track: track.number)
    similarity = _similarities(ordered, labelled_boxes, time_ns)
    rows, columns = np.nonzero(similarity)
    best_first = np.lexsort((columns, rows, -similarity[rows, columns]))
    number_of: dict[int, int] = {}
    taken: set[int] = set()
    for row, index in zip(rows[best_first].tolist(), columns[best_first].tolist(), strict=True):
        if index not in number_of and row not in taken:
            number_of[index] = ordered[row].number
            taken.add(row)
    return number_of


def overlaps(ones: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over the union of boxes [N, 4] and others [M, 4]: [N, M], from 0 to 1."""
    low = np.maximum(ones[:, np.newaxis, :2], others[:, :2])  # [N, M, 2]
    high = np.minimum(ones[:, np.newaxis, 2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    return np.asarray(shared / (_areas(ones)[:, np.newaxis] + _areas(others) - shared), np.float64)


def _similarities(
    tracks: Sequence[ObjectTrack], labelled_boxes: Sequence[tuple[str, Box]], time_ns: int
) -> NDArray[np.float64]:
    """Return how well each box fits each track, [T, D]: above 1 if it overlaps, 0 if it is another object."""
    seen = np.array([box for _, box in labelled_boxes], np.float64)
    last = np.array([track.sightings[-1].box for track in tracks], np.float64)
    expected = np.array([_expected(track, time_ns) for track in tracks], np.float64)
    covered = np.maximum(overlaps(expected, seen), _LAST_PLACE_WEIGHT * overlaps(last, seen))

    elapsed_s = np.array([abs(time_ns - track.last_seen_ns) / NS_PER_S for track in tracks])
    reach = np.minimum(_REACH_AT_ONCE + _REACH_PER_S * elapsed_s, _LARGEST_REACH) * _diagonals(last)
    distance = np.linalg.norm(_centres(expected)[:, np.newaxis] - _centres(seen), axis=2)
    ratio = _areas(seen) / _areas(last)[:, np.newaxis]
    is_of_size = (ratio <= _LARGEST_AREA_RATIO) & (ratio >= 1 / _LARGEST_AREA_RATIO)
    near = np.where(is_of_size, np.clip(1 - distance / reach[:, np.newaxis], 0, None), 0.0)

    has_label = np.array([[track.label == label for label, _ in labelled_boxes] for track in tracks])
    return np.where(has_label, np.where(covered >= _LEAST_OVERLAP, 1 + covered, near), 0.0)


def _expected(track: ObjectTrack, time_ns: int) -> Box:
    """Return where a track leads: its last box, moved at the velocity between its last two sightings, if it has two."""
    *earlier, last = track.sightings
    if not earlier:
        return last.box
    before = earlier[-1]
    steps = min((time_ns - last.time_ns) / (last.time_ns - before.time_ns), _MOST_STEPS)
    dx = (last.box[0] + last.box[2] - before.box[0] - before.box[2]) / 2 * steps
    dy = (last.box[1] + last.box[3] - before.box[1] - before.box[3]) / 2 * steps
    left, top, right, bottom = last.box
    return left + dx, top + dy, right + dx, bottom + dy


def _centres(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centres [N, 2] of boxes [N, 4]."""
    return (boxes[:, :2] + boxes[:, 2:]) / 2


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the areas [N] of boxes [N, 4], at least one pixel: whole pixels may leave nothing of a small box."""
    return np.asarray(np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1.0), np.float64)


def _diagonals(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the diagonals [N] of boxes [N, 4], at least one pixel."""
    return np.asarray(np.maximum(np.linalg.norm(boxes[:, 2:] - boxes[:, :2], axis=1), 1.0), np.float64)
