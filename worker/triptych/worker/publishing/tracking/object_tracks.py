"""Tracks of the objects of each stream: which are the same, which have entered and left, how many have passed. Pure.

The state consists of published results only. A restart restores it from the tail of the results topic and gives the
same tracks as an undisturbed worker (alignment rule 21, docs/alignment.md). So open tracks are derived anew for each
window, from the recent results of its stream: their detections, which name the tracks, and their counts of passages.

Tracks of a stream are numbered from 1. A number belongs to a track that has passed or to one that is open, so the last
number follows from both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, groupby
from operator import attrgetter
from types import MappingProxyType

from triptych.schemas.perception.objects import Detection, ObjectCount
from triptych.schemas.results import Result
from triptych.worker.publishing.tracking.association import associate
from triptych.worker.publishing.tracking.open_tracks import REMEMBERED_WINDOWS, ExaminedWindow, OpenTracks
from triptych.worker.publishing.window_memory import WindowMemory

_ABSENT = ObjectCount(median=0.0, largest=0)


class TrackHistory:
    """The detections and counts of the recent windows of each stream of one partition."""

    def __init__(self, stream_ttl_ns: int) -> None:
        """Create an empty history. `stream_ttl_ns` is measured in arrival time."""
        self._windows: WindowMemory[ExaminedWindow] = WindowMemory(stream_ttl_ns, windows=REMEMBERED_WINDOWS)

    def with_tracks(self, result: Result) -> Result:
        """Return a copy of a new result whose detections and counts have tracks, and remember it.

        A result in which no picture was examined, or without records of its own, stays as it is.
        """
        window = ExaminedWindow.of(result)
        if window is None or result.arrival_ms.first is None:
            return result
        before = [remembered.value for remembered in self._windows.before(result)]
        if result.revision:
            return _revised(result, window, before, original=self._windows.same_window(result))
        tracked = _tracked(result, window, before)
        self.remember(tracked)
        return tracked

    def remember(self, result: Result) -> None:
        """Add a published result to the history of its stream. A revision changes nothing: later windows follow others.

        A revision begins no track, so all tracks are those of the windows as they were published first.
        """
        window = ExaminedWindow.of(result)
        if window is not None and not result.revision:
            self._windows.add(result, window)


def _tracked(result: Result, window: ExaminedWindow, before: Sequence[ExaminedWindow]) -> Result:
    """Return a new result with its tracks."""
    tracks, passages = OpenTracks.after(before), _passages(before)
    last_number = max(passages.total() + len(tracks.tracks), _largest_number(before))
    ended = tracks.begin(window)
    detections = _followed(tracks, window.detections, new_numbers=count(last_number + 1))
    ended += tracks.end(window)
    new = {detection.track: detection.label for detection in detections if (detection.track or 0) > last_number}
    left = Counter(track.label for track in ended)
    return _updated(result, detections, entered=Counter(new.values()), left=left, passages=passages + left)


def _revised(
    result: Result, window: ExaminedWindow, before: Sequence[ExaminedWindow], *, original: ExaminedWindow | None
) -> Result:
    """Return a revision with the tracks that were open or began when its window was first published, and no others."""
    tracks = OpenTracks.after(before)
    tracks.begin(window)
    for detection in original.detections if original else ():
        if detection.track is not None:
            tracks.see(detection, detection.track)
    counts = original.counts if original else {}
    return _updated(
        result,
        _followed(tracks, window.detections, new_numbers=None),
        entered=Counter({label: each.entered for label, each in counts.items()}),
        left=Counter({label: each.left for label, each in counts.items()}),
        passages=_passages([original]) if original else _passages(before),
    )


def _followed(
    tracks: OpenTracks, detections: Sequence[Detection], *, new_numbers: Iterator[int] | None
) -> list[Detection]:
    """Return detections, which are in time order, with their tracks, and add them to `tracks`.

    A detection that belongs to no open track begins one; without `new_numbers` it has none.
    """
    followed: list[Detection] = []
    for time_ns, of_picture in groupby(detections, key=attrgetter("time_ns")):
        picture = list(of_picture)
        number_of = associate(tracks.tracks.values(), [(each.label, each.box) for each in picture], time_ns)
        for index, detection in enumerate(picture):
            number = number_of.get(index)
            if number is None and new_numbers is not None:
                number = next(new_numbers)
            if number is not None:
                tracks.see(detection, number)
            followed.append(detection.model_copy(update={"track": number}))
    return followed


def _updated(
    result: Result,
    detections: Sequence[Detection],
    *,
    entered: Counter[str],
    left: Counter[str],
    passages: Counter[str],
) -> Result:
    """Return a result with tracks. A label that was seen earlier keeps its count of passages."""
    counted = result.counts or {}
    counts = {
        label: counted.get(label, _ABSENT).model_copy(
            update={"entered": entered[label], "left": left[label], "passages": passages[label]}
        )
        for label in sorted({*counted, *+entered, *+left, *+passages})
    }
    return result.model_copy(update={"detections": tuple(detections), "counts": MappingProxyType(counts)})


def _passages(windows: Sequence[ExaminedWindow]) -> Counter[str]:
    """Return how many tracks have ended up to the last of these windows, by label."""
    return Counter({label: each.passages for label, each in windows[-1].counts.items()}) if windows else Counter()


def _largest_number(windows: Sequence[ExaminedWindow]) -> int:
    """Return the largest number of a track in these windows.

    It only matters if a track was forgotten before it ended: after a gap as long as the stream's TTL.
    """
    return max((each.track or 0 for window in windows for each in window.detections), default=0)
