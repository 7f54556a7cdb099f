"""Inspection of one item: decode it with the worker's own code and describe its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from triptych.models.model import InputSpec
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError
from triptych.training.data.example import Task
from triptych.training.data.feature_files import read_features
from triptych.training.data.labelled_windows import ReadClip, labelled_windows, task_of
from triptych.training.data.manifest import Item, Manifest

SILENCE_DBFS: Final = -60.0
"""Audio is silent if its mean power is lower. 16-bit quantisation noise is near -98 dBFS, a quiet room near -50."""
BLACK_LEVEL: Final = 20.0
"""A frame is black if its 99th percentile is lower, on the scale 0 to 255. Black in video is 16."""
_SPEC: Final = InputSpec(frames=4, height=64, width=64, sample_rate_hz=16_000)
_WINDOW_NS: Final = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Inspection:
    """The content of an item.

    Attributes:
        problems: decoding errors.
        windows: number of windows.
        is_silent: whether it has audio, all of it silent.
        is_black: whether it has frames, all of them black.
        fingerprint: equal for items with the same files, times and text; None if a file is missing.
    """

    problems: tuple[str, ...]
    windows: int
    is_silent: bool
    is_black: bool
    fingerprint: str | None


class Inspector:
    """Inspects the items of one manifest. Hashes each file once and decodes only what an item needs."""

    def __init__(self, manifest: Manifest, read: ReadClip) -> None:
        """Keep the reader of media files."""
        self._folder = manifest.folder
        self._task: Task = task_of(manifest, _SPEC, _WINDOW_NS)
        self._read = read
        self._hash = cache(_hash_of)

    def inspect(self, item: Item) -> Inspection:
        """Decode an item and inspect its windows. Reports all errors of the item as problems."""
        windows: list[PreparedWindow] = []
        problems: list[str] = []
        try:
            outcome = labelled_windows(item, self._folder, self._task, self._read)
            windows = [example.window for example in outcome.examples]
            problems += [problem for problem in outcome.problems if problem != NOTHING]
        except (UsageError, OSError) as error:
            problems.append(str(error))
        try:
            fingerprint = self._fingerprint(item)
        except (UsageError, OSError) as error:
            problems.append(str(error))
            fingerprint = None
        return Inspection(
            problems=tuple(dict.fromkeys(problems)),
            windows=len(windows),
            is_silent=_silent(windows),
            is_black=_black(windows),
            fingerprint=fingerprint,
        )

    def _fingerprint(self, item: Item) -> str:
        digest = hashlib.sha256(f"{item.t0} {item.t1}".encode())
        for name in ("clip", "video", "audio"):
            path = getattr(item, name)
            digest.update(f"{name} {None if path is None else self._hash(self._folder / path)}".encode())
        for line in item.text or ():
            digest.update(" ".join(line.text.casefold().split()).encode() + b"\n")
        for modality, features in sorted((item.features or {}).items()):
            digest.update(modality.encode() + read_features(features, self._folder).tobytes())
        return digest.hexdigest()


NOTHING: Final = "no window in it"
"""What `labelled_windows` reports for an item without windows. Here `Inspection.windows` tells it."""


def _hash_of(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _silent(windows: list[PreparedWindow]) -> bool:
    sounds = [window.audio_f32[first:last] for window in windows for first, last in window.audio_present]
    power = sum(float(np.square(sound, dtype=np.float64).sum()) for sound in sounds)
    count = sum(len(sound) for sound in sounds)
    return count > 0 and 10 * np.log10(power / count + 1e-12) < SILENCE_DBFS


def _black(windows: list[PreparedWindow]) -> bool:
    pictures = [picture for window in windows for picture in window.frames_hwc_u8]
    return bool(pictures) and all(float(np.percentile(picture, 99)) < BLACK_LEVEL for picture in pictures)
