"""What the page keeps of a window: a compact record, and how several of them become one. Pure values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from sys import intern
from typing import Final, NamedTuple, TypeVar

from triptych.consumers.page.state.page_cursor import Place
from triptych.schemas.perception.shown import shown_counts
from triptych.schemas.results import ModalityReport, Result, Shares

_MOST_CUES: Final = 12
_LONGEST_CUE: Final = 400
_MOST_LABELS: Final = 12
_MUSIC: Final = "music"
_DECIMALS: Final = 4

Number = TypeVar("Number", int, float)


class ResultPlace(NamedTuple):
    """Where the result is: the partition of the results topic, and its offset."""

    partition: int
    offset: int

    @property
    def log(self) -> str:
        """The name of the log in a cursor."""
        return f"r{self.partition}"

    def change(self, step: int) -> Place:
        """Return the place of a change that the result caused."""
        return Place(self.offset, step)


class PictureRange(NamedTuple):
    """The offsets of the first and the last record of a window's pictures."""

    partition: int
    first: int
    last: int


class KeptCue(NamedTuple):
    """A cue as it is kept. The text may be cut."""

    text: str
    start_ns: int
    generated: bool


@dataclass(slots=True)
class SeenWindow:
    """One window, or several in a row that were merged.

    Attributes:
        start_ns: its start, and with `end_ns` its id; of several, those of the window that says most.
        from_ns: where the time begins that it covers.
        to_ns: where this time ends.
        windows: how many windows it stands for.
        place: where its result is.
        picture_ns: the time of the picture with detections, or that fits a prompt best; None if that is not known.
    """

    start_ns: int
    end_ns: int
    revision: int
    published_ns: int
    place: ResultPlace
    from_ns: int
    to_ns: int
    windows: int = 1
    pictures: PictureRange | None = None
    picture_ns: int | None = None
    speech: float | None = None
    music: float | None = None
    loudness: float | None = None
    novelty: float | None = None
    shares: Shares | None = None
    counts: dict[str, int] = field(default_factory=dict)
    words: tuple[KeptCue, ...] = ()
    language: str | None = None
    matches: dict[str, float] = field(default_factory=dict)
    quality: tuple[str, ...] = ()
    revised: tuple[tuple[int, int, str, int], ...] = ()
    """The revisions seen, oldest first: number, publication time, why it closed, records added."""
    offsets: tuple[int, int] = (-1, -1)
    """The first and the last offset of the results of all windows that it stands for."""

    @property
    def window_id(self) -> str:
        """The window's id within its feed."""
        return f"{self.start_ns}-{self.end_ns}"

    @property
    def weight(self) -> tuple[float, float, int]:
        """How much the window says, to choose one of several."""
        return max(self.matches.values(), default=0.0), self.novelty or 0.0, len(self.words)


def seen_window(result: Result, place: ResultPlace) -> SeenWindow:
    """Return what is kept of a result."""
    seen = result.observations
    added = 0 if result.revised is None else sum(count for _, count in result.revised.added)
    return SeenWindow(
        result.start_ns,
        result.end_ns,
        result.revision,
        result.published_ns,
        place,
        result.start_ns,
        result.end_ns,
        pictures=picture_range(result.modalities.video),
        picture_ns=_picture_ns(result),
        speech=_rounded(seen.speech_share),
        music=next((_rounded(sound.score) for sound in seen.sound if sound.label == _MUSIC), None),
        loudness=_rounded(seen.loudness_lufs),
        novelty=_rounded(result.novelty),
        shares=result.shares,
        counts={intern(label): count for label, count in sorted(shown_counts(result).items())[:_MOST_LABELS]},
        words=tuple(KeptCue(cue.text[:_LONGEST_CUE], cue.start_ns, cue.generated) for cue in seen.words[:_MOST_CUES]),
        language=None if seen.language is None else intern(seen.language),
        matches={intern(prompt): _score(match.score) for prompt, match in (result.matches or {}).items()},
        quality=tuple(map(intern, () if result.quality is None else result.quality.flags)),
        revised=((result.revision, result.published_ns, intern(result.closed_by), added),),
        offsets=(place.offset, place.offset),
    )


def with_earlier_revision(newer: SeenWindow, older: SeenWindow) -> SeenWindow:
    """Return the newer revision of a window, which knows of the earlier ones."""
    numbers = {revision[0] for revision in newer.revised}
    newer.offsets = min(newer.offsets[0], older.offsets[0]), max(newer.offsets[1], older.offsets[1])
    newer.revised = tuple(sorted(newer.revised + tuple(one for one in older.revised if one[0] not in numbers)))
    return newer


def picture_range(report: ModalityReport) -> PictureRange | None:
    """Return where the pictures of a window are; None if it has none of its own."""
    if report.partition is None or report.offsets is None:
        return None
    return PictureRange(report.partition, *report.offsets)


def merged(windows: Sequence[SeenWindow]) -> SeenWindow:
    """Return several windows in a row as one (see `TimelineWindow` for what stands for what)."""
    if len(windows) == 1:
        return windows[0]
    best = max(windows, key=lambda window: window.weight)
    words = [cue for window in windows for cue in window.words]
    return SeenWindow(
        best.start_ns,
        best.end_ns,
        best.revision,
        best.published_ns,
        best.place,
        min(window.from_ns for window in windows),
        max(window.to_ns for window in windows),
        sum(window.windows for window in windows),
        best.pictures,
        best.picture_ns,
        speech=_mean(windows, "speech"),
        music=_mean(windows, "music"),
        loudness=_mean(windows, "loudness"),
        novelty=max((window.novelty for window in windows if window.novelty is not None), default=None),
        shares=best.shares,
        counts=_highest(window.counts for window in windows),
        words=_once(words)[:_MOST_CUES],
        language=best.language,
        matches=_highest(window.matches for window in windows),
        quality=tuple(sorted({flag for window in windows for flag in window.quality})),
        revised=best.revised,
        offsets=(min(window.offsets[0] for window in windows), max(window.offsets[1] for window in windows)),
    )


def _picture_ns(result: Result) -> int | None:
    """Return the time of the picture that shows most: the best of the best match, or the newest with detections."""
    best = max((result.matches or {}).values(), key=lambda match: match.score, default=None)
    if best is not None and best.at_ns is not None and not result.detections:
        return best.at_ns
    return max((detection.time_ns for detection in result.detections), default=None)


def _once(cues: Iterable[KeptCue]) -> tuple[KeptCue, ...]:
    """Return each cue once: one that lasts longer than a window is in several."""
    return tuple(dict.fromkeys(sorted(cues, key=lambda cue: cue.start_ns)))


def _mean(windows: Sequence[SeenWindow], name: str) -> float | None:
    found = [(getattr(window, name), window.windows) for window in windows if getattr(window, name) is not None]
    total = sum(count for _, count in found)
    return round(sum(value * count for value, count in found) / total, _DECIMALS) if total else None


def _highest(each: Iterable[dict[str, Number]]) -> dict[str, Number]:
    found: dict[str, Number] = {}
    for numbers in each:
        for name, number in numbers.items():
            found[name] = max(number, found.get(name, number))
    return found


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)


def _score(value: float) -> float:
    return round(value, _DECIMALS)
