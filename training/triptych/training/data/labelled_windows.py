"""From the items of a manifest to labelled windows. The reader of media files is injected: it is a producer's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from triptych.models.model import InputSpec
from triptych.models.window import PreparedWindow
from triptych.schemas.names import MODALITIES, Modality
from triptych.schemas.records import End, InputRecord, SubtitleCue
from triptych.training.data.example import ABSENT, Example, Task
from triptych.training.data.manifest import Item, Manifest, TimedText, modality_parts
from triptych.training.data.window_preparation import prepared_windows
from triptych.units import NS_PER_S
from triptych.worker.alignment.config import AlignConfig

ReadClip = Callable[[Path, int], Iterable[InputRecord]]
"""Returns the records of a media file as a producer sends them. The second argument is the event time of its start."""

_MOMENT_NS: Final = 100_000_000
_BEGIN_WINDOWS: Final = 1_000_000
"""Clips start this many windows after the epoch, so that no time before a clip's start is negative."""


_SESSION: Final = "item"


@dataclass(frozen=True, slots=True)
class ItemWindows:
    """The labelled windows of one item, and what could not be decoded."""

    item: Item
    examples: tuple[Example, ...]
    problems: tuple[str, ...]


def task_of(manifest: Manifest, spec: InputSpec, window_ns: int) -> Task:
    """Return the task of a manifest."""
    labels = manifest.labels
    return Task(labels.name, labels.kind, labels.labels, modality_parts(labels), spec, window_ns)


def labelled_windows(item: Item, folder: Path, task: Task, read: ReadClip) -> ItemWindows:
    """Return the windows of an item. An item that is longer than a window becomes several windows with the same label.

    A window that is less than half full is left out, unless it is the only one.

    Args:
        item: item of a manifest.
        folder: the manifest's folder.
        task: made by `task_of`.
        read: reads a media file.

    Raises:
        UsageError: a file cannot be played.
    """
    begin_ns = _BEGIN_WINDOWS * task.window_ns
    start_at_ns = begin_ns - _ns(item.t0)
    config = AlignConfig(size_ns=task.window_ns, hop_ns=task.window_ns)
    end_ns = None if item.t1 is None else start_at_ns + _ns(item.t1)
    examples: list[Example] = []
    problems: list[str] = []
    for preparation in prepared_windows(_records(item, folder, start_at_ns, read), config, task.spec):
        window = _cut(preparation.window, end_ns)
        if window.start_ns < begin_ns or window.is_empty:
            continue
        problems += [bad.reason for bad in preparation.bad]
        if not examples or _filled_ns(window, end_ns) * 2 >= task.window_ns:
            examples.append(labelled_example(item, window, task, len(examples)))
    return ItemWindows(item, tuple(examples), tuple(problems) if examples else (*problems, "no window in it"))


def _records(item: Item, folder: Path, start_at_ns: int, read: ReadClip) -> Iterator[InputRecord]:
    if item.clip is not None:
        yield from read(folder / item.clip, start_at_ns)
        return
    given = {"video": item.video, "audio": item.audio, "subtitles": item.text}
    tracks = tuple(modality for modality in MODALITIES if given[modality] is not None)
    media_end_ns = start_at_ns
    for path, modality in ((item.video, "video"), (item.audio, "audio")):
        if path is not None:
            for record in read(folder / path, start_at_ns):
                if record.modality == modality:
                    media_end_ns = max(media_end_ns, record.watermark_ns)
                    yield record.model_copy(update={"tracks": tracks, "session": _SESSION})
    if item.text is not None:
        end_ns = media_end_ns if item.t1 is None else start_at_ns + _ns(item.t1)
        yield from _cues(item.text, start_at_ns, end_ns, tracks)


def _cues(
    lines: Iterable[TimedText], start_at_ns: int, item_end_ns: int, tracks: tuple[Modality, ...]
) -> Iterator[InputRecord]:
    """Yield the lines as cues. A line without an end lasts to the end of the item, but at least a moment."""
    latest_ns = start_at_ns
    for number, line in enumerate(sorted(lines, key=lambda line: line.t0)):
        start_ns = start_at_ns + _ns(line.t0)
        end_ns = max(item_end_ns, start_ns + _MOMENT_NS) if line.t1 is None else start_at_ns + _ns(line.t1)
        latest_ns = max(latest_ns, end_ns)
        yield SubtitleCue(
            stream="clip", id=f"cue-{number}", source="manifest", session=_SESSION, tracks=tracks, seq=number,
            start_ns=start_ns, end_ns=end_ns, next_ns=start_ns, text=line.text,
        )  # fmt: skip
    yield End(
        stream="clip", id="end", source="manifest", session=_SESSION, tracks=tracks, start_ns=latest_ns,
        next_ns=latest_ns, modality="subtitles",
    )  # fmt: skip


def _cut(window: PreparedWindow, end_ns: int | None) -> PreparedWindow:
    """Return the window without what comes after the end of the item."""
    if end_ns is None or end_ns >= window.end_ns:
        return window
    kept = [place for place, time_ns in enumerate(window.frame_times_ns) if time_ns < end_ns]
    length = window.end_ns - window.start_ns
    samples = max(0, (end_ns - window.start_ns) * len(window.audio_f32) // length)
    audio = np.where(np.arange(len(window.audio_f32)) < samples, window.audio_f32, np.float32(0))
    return replace(
        window,
        frames_hwc_u8=tuple(window.frames_hwc_u8[place] for place in kept),
        frame_times_ns=tuple(window.frame_times_ns[place] for place in kept),
        audio_f32=audio,
        audio_present=tuple((first, min(last, samples)) for first, last in window.audio_present if first < samples),
        cues=tuple(cue for cue in window.cues if cue.start_ns < end_ns),
    )


def _filled_ns(window: PreparedWindow, end_ns: int | None) -> int:
    """Return the length of the filled part of a window: up to the item's end, or to the end of the last content."""
    if end_ns is not None:
        return end_ns - window.start_ns
    length_ns, samples = window.end_ns - window.start_ns, max(1, len(window.audio_f32))
    moments = [time_ns - window.start_ns for time_ns in window.frame_times_ns]
    moments += [last * length_ns // samples for _, last in window.audio_present]
    moments += [cue.end_ns - window.start_ns for cue in window.cues]
    return max(moments)


def labelled_example(item: Item, window: PreparedWindow, task: Task, number: int) -> Example:
    """Return a window of an item as an example with the item's labels."""
    label_by_modality = item.label_per_modality or {}
    parts = {part: int(label_by_modality.get(part.partition("/")[0], ABSENT)) for part in task.parts}  # type: ignore[call-overload]
    target = float(item.label) if task.kind == "regression" else item.label  # type: ignore[arg-type]
    return Example(f"{item.id}#{number}", replace(window, stream=task.name), target, parts, item.group)


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
