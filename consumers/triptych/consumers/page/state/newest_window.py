"""What the wall shows of the newest window of a feed, and why the feed is worth a look. Pure values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from triptych.consumers.page.api_types import Attention, ModalityState, SeenLabel, TileModalities
from triptych.schemas.perception.shown import shown_labels, shown_sounds
from triptych.schemas.results import Result, State
from triptych.units import NS_PER_S

_STATE_OF: Final[dict[State, ModalityState]] = {
    "present": "ok",
    "held": "held",
    "empty": "empty",
    "idle": "idle",
    "absent": "missing",
}
_SHOWN_MATCH: Final = 0.5
_USUAL_NOVELTY: Final = 0.1
_HIGH_NOVELTY: Final = 0.5
"""Below the first a window is usual; from the second on it is as new as it gets (docs/models.md)."""
_LONG_LAG_S: Final = 30.0
_LONGEST_LAG_S: Final = 86_400.0
_MOST_BOXES: Final = 100


@dataclass(frozen=True, slots=True)
class PixelBox:
    """A detection in pixels of the picture as it was sent."""

    label: str
    score: float
    box: tuple[int, int, int, int]
    track: int | None
    time_ns: int


@dataclass(frozen=True, slots=True)
class NewestWindow:
    """What is kept of the newest window of a feed beside `SeenWindow`."""

    modalities: TileModalities
    lag_s: float | None
    boxes: tuple[PixelBox, ...]
    sounds: tuple[SeenLabel, ...]
    labels: tuple[SeenLabel, ...]
    reasons: tuple[tuple[float, Attention], ...]
    has_ended: bool
    model: tuple[str, str, str]


def newest_window(result: Result) -> NewestWindow:
    """Return what is kept of a result while it is the newest of its feed."""
    reports = result.modalities
    newest_ns = max((detection.time_ns for detection in result.detections), default=0)
    return NewestWindow(
        TileModalities(
            video=_STATE_OF[reports.video.state],
            audio=_STATE_OF[reports.audio.state],
            text=_STATE_OF[reports.subtitles.state],
        ),
        lag_s(result),
        tuple(box for box in pixel_boxes(result) if box.time_ns == newest_ns)[:_MOST_BOXES],
        tuple(SeenLabel(label=seen.label, score=round(seen.score, 4)) for seen in shown_sounds(result.observations)),
        tuple(SeenLabel(label=seen.label, score=round(seen.score, 4)) for seen in shown_labels(result.observations)),
        tuple(sorted(_reasons(result), reverse=True)),
        result.closed_by == "end",
        (result.model.name, result.model.version, result.model.sha256),
    )


def pixel_boxes(result: Result) -> Iterator[PixelBox]:
    """Return the detections of a result."""
    for seen in result.detections:
        yield PixelBox(seen.label, round(seen.score, 4), seen.box, seen.track, seen.time_ns)


def lag_s(result: Result) -> float | None:
    """Return how long after its end a window was published; None if its event time is not near the wall clock."""
    lag = (result.published_ns - result.end_ns) / NS_PER_S
    return round(lag, 3) if -_LONG_LAG_S <= lag <= _LONGEST_LAG_S else None


def attention_of(reasons: tuple[tuple[float, Attention], ...]) -> float:
    """Return how much a feed is worth a look, from 0 to 1: more with each reason."""
    calm = 1.0
    for weight, _ in reasons:
        calm *= 1.0 - weight
    return round(1.0 - calm, 4)


def _reasons(result: Result) -> Iterator[tuple[float, Attention]]:
    best = max((match.score for match in (result.matches or {}).values()), default=0.0)
    if best >= _SHOWN_MATCH:
        yield min(best, 1.0), "match"
    unusual = ((result.novelty or 0.0) - _USUAL_NOVELTY) / (_HIGH_NOVELTY - _USUAL_NOVELTY)
    if unusual > 0:
        yield 0.7 * min(unusual, 1.0), "novelty"
    if result.quality is not None and result.quality.flags:
        yield 0.5, "quality"
    if any(report.state == "idle" for _, report in result.modalities):
        yield 0.4, "modality_missing"
    if result.dead:
        yield 0.4, "dead_letters"
    if result.shed.model or result.shed.video or result.shed.audio or result.shed.subtitles or result.shed.detections:
        yield 0.3, "overload"
    lag = lag_s(result)
    if lag is not None and lag > _LONG_LAG_S:
        yield 0.5, "lag"
    if result.revision:
        yield 0.1, "revised"
