"""The tracks of one stream that may be seen again, derived from the results of its recent windows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from triptych.schemas.perception.objects import Detection, ObjectCount
from triptych.schemas.results import Result
from triptych.units import NS_PER_S
from triptych.worker.publishing.tracking.association import ObjectTrack, Sighting

REMEMBERED_WINDOWS: Final = 32
_MISSED_WINDOWS: Final = 2
_MISSED_NS: Final = 3 * NS_PER_S
"""A track ends in the window in which it has been missing for so many windows, and for so long."""
_GAP_NS: Final = 10 * NS_PER_S
_GAP_WINDOWS: Final = 3
"""A track also ends if it was not seen for so long, or for the length of so many windows, whatever is longer."""


@dataclass(frozen=True, slots=True)
class ExaminedWindow:
    """What a published result tells of the tracks of its stream: only what is on the results topic."""

    start_ns: int
    end_ns: int
    model: str
    detections: tuple[Detection, ...]
    counts: Mapping[str, ObjectCount]

    @classmethod
    def of(cls, result: Result) -> ExaminedWindow | None:
        """Return what a result tells; None if no picture was examined."""
        if result.counts is None:
            return None
        return cls(result.start_ns, result.end_ns, result.model.sha256, result.detections, result.counts)


@dataclass(slots=True)
class OpenTracks:
    """Open tracks by number, and for how many windows each has been missing.

    When a track ends depends on its last sighting and the windows since then, so that a restart comes to the same end.
    """

    tracks: dict[int, ObjectTrack] = field(default_factory=dict)
    _missed: dict[int, int] = field(default_factory=dict)
    _model: str = ""

    @classmethod
    def after(cls, windows: Iterable[ExaminedWindow]) -> OpenTracks:
        """Return the tracks that are open after these windows, which are in order."""
        found = cls()
        for window in windows:
            found.begin(window)
            for detection in window.detections:
                if detection.track is not None:
                    found.see(detection, detection.track)
            found.end(window)
        return found

    def begin(self, window: ExaminedWindow) -> list[ObjectTrack]:
        """Begin a window. Return the tracks that end: after a gap, or because another model sees other things."""
        gap_ns = max(_GAP_NS, _GAP_WINDOWS * (window.end_ns - window.start_ns))
        is_other_model, self._model = window.model != self._model, window.model
        for number in self._missed:
            self._missed[number] += 1
        return self._remove(
            track for track in self.tracks.values() if is_other_model or window.start_ns - track.last_seen_ns > gap_ns
        )

    def see(self, detection: Detection, number: int) -> None:
        """Add a detection to the track of this number, or begin the track with it."""
        track = self.tracks.get(number, ObjectTrack(number, detection.label, ()))
        self.tracks[number] = track.seen(Sighting(detection.time_ns, detection.box))
        self._missed[number] = 0

    def end(self, window: ExaminedWindow) -> list[ObjectTrack]:
        """End a window. Return the tracks that end because they have been missing for too long.

        At the latest this is where the window of the last sighting is about to be forgotten.
        """
        return self._remove(
            track
            for number, track in self.tracks.items()
            if (missed := self._missed[number]) >= REMEMBERED_WINDOWS
            or (missed >= _MISSED_WINDOWS and window.end_ns - track.last_seen_ns >= _MISSED_NS)
        )

    def _remove(self, ended: Iterable[ObjectTrack]) -> list[ObjectTrack]:
        removed = list(ended)
        for track in removed:
            del self.tracks[track.number], self._missed[track.number]
        return removed
