"""The queries about clips, and the results of a worker for the clips that are there."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.rendered_prompts import Broadcast
from benchmarks.search_quality.content import FOLDER
from benchmarks.search_quality.metrics import Window
from benchmarks.search_quality.queries import LabelledQuery
from triptych.schemas.results import Result
from triptych.units import NS_PER_S

SAMPLES: Final = Path(__file__).parents[2] / "app" / "triptych" / "samples"
WINDOW_MS: Final = 1_000
_LEAST_S: Final = 0.3
"""A window has the gain of an answer that lasts so long in it."""


@dataclass(frozen=True, slots=True)
class ClipQueries:
    """The queries about clips, and where each clip is.

    Attributes:
        files: the clips that are there, by name.
        missing: the names of those that are not.
        entries: the queries, as in the file.
    """

    files: dict[str, Path]
    missing: tuple[str, ...]
    entries: tuple[dict[str, Any], ...]

    @property
    def unmeasured(self) -> int:
        """How many queries ask for a clip that is missing."""
        return sum(not self._has_clips(entry) for entry in self.entries)

    def _has_clips(self, entry: dict[str, Any]) -> bool:
        return all(clip in self.files for clip, *_ in entry["answers"])

    def labelled(self, windows: Sequence[Window]) -> Iterator[LabelledQuery]:
        """Yield the queries about clips that are there, with the gains of these windows."""
        for entry in self.entries:
            if not self._has_clips(entry):
                continue
            gains: dict[Window, int] = {}
            for stream, number in windows:
                for clip, start_s, end_s, gain in entry["answers"]:
                    shared_s = min(end_s, number + 1) - max(start_s, number)
                    if clip == stream and shared_s >= _LEAST_S:
                        gains[stream, number] = max(gain, gains.get((stream, number), 0))
            text = entry["text"]
            yield LabelledQuery("clips", entry["kind"], text, "en" if text.isascii() else "zh", text, gains)


def find_clips(folders: Sequence[Path]) -> ClipQueries:
    """Read the queries, and look for the clips among the samples and in these folders."""
    document = tomllib.loads((FOLDER / "clips.toml").read_text(encoding="utf-8"))
    files = {
        clip: found
        for clip in document["clips"]
        if (found := next((one for folder in (SAMPLES, *folders) if (one := folder / clip).is_file()), None))
    }
    missing = tuple(clip for clip in document["clips"] if clip not in files)
    return ClipQueries(files, missing, tuple(document["query"]))


def clip_results(files: dict[str, Path]) -> list[Result]:
    """Return the results of a worker for the clips, each a stream of its name, with windows of one second."""
    broadcast = Broadcast({"model.detector": "auto", "model.frames_per_window": 4, "window.size_ms": WINDOW_MS})
    for clip, file in files.items():
        broadcast.send(clip, file)
    found = broadcast.work()
    return [result for clip in files for result in found[clip]]


def clip_window_ns() -> int:
    """Return the length of a window of a clip in nanoseconds."""
    return WINDOW_MS * NS_PER_S // 1_000
