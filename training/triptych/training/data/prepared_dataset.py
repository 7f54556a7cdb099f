"""Prepared windows on disk: frames, samples and text as a model gets them.

A folder has `prepared.json` (`PreparedIndex`) and an NPZ file for each window with `frames`, uint8 [T, H, W, 3], and
`audio`, int16 or float32 [S].
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from triptych.models.model import InputSpec
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.schemas.errors import UsageError
from triptych.training.data.example import Example, Kind, Task

INDEX_FILE: Final = "prepared.json"
_S16_SCALE: Final = np.float32(1 / 32_768)


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredCue(_Stored):
    """One cue, in event time."""

    text: str
    start_ns: int
    end_ns: int
    language: str | None = None


class StoredExample(_Stored):
    """One labelled window without its arrays, which are in `file`."""

    id: str
    split: str
    group: str
    target: int | tuple[int, ...] | float
    parts: dict[str, int]
    stream: str
    start_ns: int
    end_ns: int
    frame_times_ns: tuple[int, ...]
    audio_present: tuple[tuple[int, int], ...]
    cues: tuple[StoredCue, ...]
    file: str


class PreparedIndex(_Stored):
    """The index of a folder of prepared windows."""

    name: str
    kind: Kind
    labels: tuple[str, ...]
    parts: dict[str, tuple[str, ...]]
    frames: int
    height: int
    width: int
    sample_rate_hz: int
    text_tokens: int
    window_ns: int
    examples: tuple[StoredExample, ...]

    @property
    def task(self) -> Task:
        """Return the task."""
        spec = InputSpec(self.frames, self.height, self.width, self.sample_rate_hz, self.text_tokens)
        return Task(self.name, self.kind, self.labels, self.parts, spec, self.window_ns)


class PreparedDataset:
    """A data set of prepared windows in a folder. Reads a window's arrays when it is requested."""

    def __init__(self, folder: Path) -> None:
        """Read the index.

        Raises:
            UsageError: it is missing or broken.
        """
        try:
            index = PreparedIndex.model_validate_json((folder / INDEX_FILE).read_bytes())
        except OSError as error:
            raise UsageError(f"{folder}: expected prepared windows: make them with triptych data prepare") from error
        except ValidationError as error:
            raise UsageError(f"{folder / INDEX_FILE}: expected an index of prepared windows, got: {error}") from error
        self.task = index.task
        self._folder = folder
        self._stored: dict[str, list[StoredExample]] = {}
        for example in index.examples:
            self._stored.setdefault(example.split, []).append(example)

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the splits, the usual ones first."""
        usual = ("train", "validation", "test")
        return tuple(sorted(self._stored, key=lambda split: (split not in usual, *map(split.__ne__, usual), split)))

    def size(self, split: str) -> int:
        """Return the number of windows in a split."""
        return len(self._of(split))

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return the examples at these indices, in this order."""
        stored = self._of(split)
        return [_restored(stored[index], self._folder) for index in indices]

    def _of(self, split: str) -> list[StoredExample]:
        if split not in self._stored:
            raise UsageError(f"{self.task.name} has no split {split!r}; there are: {', '.join(self.splits)}")
        return self._stored[split]


def write_prepared(task: Task, examples: Iterable[tuple[str, Example]], folder: Path) -> int:
    """Write examples with their splits, the index last, and return their number."""
    folder.mkdir(parents=True, exist_ok=True)
    stored = []
    for number, (split, example) in enumerate(examples):
        file = f"{number:06}.npz"
        window = example.window
        np.savez(
            folder / file,
            allow_pickle=False,
            frames=np.stack(window.frames_hwc_u8) if window.frames_hwc_u8 else np.empty(0, np.uint8),
            audio=_compact(window),
        )
        stored.append(_stored(example, split, file))
    spec = task.spec
    index = PreparedIndex(
        name=task.name, kind=task.kind, labels=task.labels, parts=dict(task.parts), frames=spec.frames,
        height=spec.height, width=spec.width, sample_rate_hz=spec.sample_rate_hz, text_tokens=spec.text_tokens,
        window_ns=task.window_ns, examples=tuple(stored),
    )  # fmt: skip
    (folder / INDEX_FILE).write_text(index.model_dump_json() + "\n", encoding="utf-8")
    return len(stored)


def _stored(example: Example, split: str, file: str) -> StoredExample:
    window = example.window
    return StoredExample(
        id=example.id, split=split, group=example.group, target=example.target, parts=dict(example.parts),
        stream=window.stream, start_ns=window.start_ns, end_ns=window.end_ns, frame_times_ns=window.frame_times_ns,
        audio_present=window.audio_present, file=file,
        cues=tuple(
            StoredCue(text=cue.text, start_ns=cue.start_ns, end_ns=cue.end_ns, language=cue.language)
            for cue in window.cues
        ),
    )  # fmt: skip


def _restored(stored: StoredExample, folder: Path) -> Example:
    with np.load(folder / stored.file, allow_pickle=False) as arrays:
        frames, audio = arrays["frames"], arrays["audio"]
    window = PreparedWindow(
        stream=stored.stream,
        start_ns=stored.start_ns,
        end_ns=stored.end_ns,
        frames_hwc_u8=tuple(frames),
        frame_times_ns=stored.frame_times_ns,
        audio_f32=audio * _S16_SCALE if audio.dtype == np.int16 else audio,
        audio_present=stored.audio_present,
        cues=tuple(PreparedCue(cue.text, cue.start_ns, cue.end_ns, cue.language) for cue in stored.cues),
    )
    return Example(stored.id, window, stored.target, stored.parts, stored.group)


def _compact(window: PreparedWindow) -> np.ndarray[tuple[int, ...], np.dtype[np.int16 | np.float32]]:
    """Return the samples as int16 if that is lossless, as it is for producers' audio; else float32. Both are [S]."""
    steps = np.rint(window.audio_f32 * np.float32(32_768))
    fits = np.array_equal(steps * _S16_SCALE, window.audio_f32) and (not len(steps) or np.abs(steps).max() < 32_768)  # noqa: PLR2004
    return steps.astype(np.int16) if fits else window.audio_f32
