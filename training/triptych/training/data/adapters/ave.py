"""AVE: videos of 10 s with the time span of an event that is both seen and heard. The rest is background."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from triptych.training.data.adapters.formats.media_files import FILMS, MediaFiles
from triptych.training.data.adapters.formats.tables import read_lines
from triptych.training.data.adapters.gathering import Gathered, Row
from triptych.training.data.manifest import Labels, Split

BACKGROUND: Final = "background"
_SPLITS: Final[Mapping[str, Split]] = {"trainSet.txt": "train", "valSet.txt": "validation", "testSet.txt": "test"}
_SECONDS: Final = 10


class _Event(NamedTuple):
    label: str
    video: str
    start: int
    end: int


def ave(root: Path, _: Path) -> Gathered:
    """Gather AVE: each video gives up to three items, before, during and after the event."""
    problems: list[str] = []
    events = [(split, event) for name, split in _SPLITS.items() for event in _events(root / name, problems)]
    labels = (*sorted({event.label for _, event in events}), BACKGROUND)
    gathered = Gathered(Labels(name="ave", labels=labels), problems=problems)
    files = MediaFiles(root)
    for split, event in events:
        film = files.find(event.video, FILMS)
        if film is None:
            problems.append(f"{event.video}: film is missing")
            continue
        for start, end, label in _spans(event):
            gathered.rows.append(
                Row(
                    f"{event.video}@{start}", group=event.video, label=labels.index(label), split=split, video=film,
                    audio=film, t0=start, t1=end,
                )
            )  # fmt: skip
    return gathered


def _events(file: Path, problems: list[str]) -> Iterator[_Event]:
    for number, line in enumerate(read_lines(file), 1):
        try:
            label, video, _, start, end = line.split("&")
            event = _Event(label, video, int(start), int(end))
        except ValueError:
            if not (number == 1 and line.startswith("Category")):
                problems.append(
                    f"{file.name}, line {number}: expected Category&VideoID&Quality&Start&End, got {line!r}"
                )
            continue
        if 0 <= event.start <= event.end <= _SECONDS:
            yield event
        else:
            problems.append(f"{file.name}, line {number}: expected seconds from 0 to {_SECONDS}, got {line!r}")


def _spans(event: _Event) -> Iterator[tuple[int, int, str]]:
    spans = ((0, event.start, BACKGROUND), (event.start, event.end, event.label), (event.end, _SECONDS, BACKGROUND))
    return (span for span in spans if span[0] < span[1])
