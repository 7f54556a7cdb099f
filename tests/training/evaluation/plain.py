"""A data set whose windows can be decoded without a model, and readers of a known accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np
from numpy.typing import NDArray

from triptych.models.model import InputSpec
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.training.data.benchmarks.rules import Rules
from triptych.training.data.benchmarks.tasks import RULES
from triptych.training.data.example import Example, Task

SAMPLES = 320


@dataclass
class PlainDataset:
    """Examples of `quorum` with each witness's digit in the first pixel, the samples and the text.

    With `leak`, the last pixel of every frame holds the truth.
    """

    rules: Rules = field(default_factory=lambda: RULES["quorum"])
    leak: bool = False
    splits: tuple[str, ...] = ("train", "validation", "test", "test-elsewhere")

    @property
    def task(self) -> Task:
        """Return the task."""
        spec = InputSpec(1, 4, 4, 16_000, 8)
        return Task("plain", "multiclass", self.rules.labels, self.rules.parts, spec, 20_000_000)

    def size(self, split: str) -> int:
        """Return the number of examples."""
        return {"validation": 400}.get(split, 1_000)

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return the examples at these indices."""
        return [self._example(split, index) for index in indices]

    def _example(self, split: str, index: int) -> Example:
        shown = self.rules.draw(Random(f"{split}/{index}"))
        frame = np.full((4, 4, 3), 20 * shown.parts["video/digit"] + 5, np.uint8)
        frame[-1, -1] = 20 * shown.target + 5 if self.leak else 0
        window = PreparedWindow(
            stream="plain", start_ns=0, end_ns=20_000_000, frames_hwc_u8=(frame,), frame_times_ns=(10_000_000,),
            audio_f32=np.full(SAMPLES, shown.parts["audio/digit"] / 20 + 0.02, np.float32),
            audio_present=((0, SAMPLES),), cues=(PreparedCue(str(shown.parts["text/digit"]), 0, 1_000_000),),
        )  # fmt: skip
        return Example(f"{split}/{index}", window, shown.target, shown.parts, f"{split}/{index}")


class Reader:
    """Makes the Bayes decision from the present witnesses: a vote. With `cheats`, it reads the leaked truth."""

    def __init__(self, *, cheats: bool = False) -> None:
        self.cheats = cheats
        self.asked = 0

    def __call__(self, windows: Sequence[PreparedWindow]) -> NDArray[np.float32]:
        """Return logits."""
        self.asked += len(windows)
        return np.stack([self._logits(window) for window in windows])

    def _logits(self, window: PreparedWindow) -> NDArray[np.float32]:
        votes = np.zeros(10, np.float32)
        if window.frames_hwc_u8:
            pixel = window.frames_hwc_u8[0][-1 if self.cheats else 0, -1 if self.cheats else 0, 0]
            votes[min(9, int(pixel) // 20)] += 100 if self.cheats else 1
        if window.audio_present:
            votes[min(9, max(0, int(window.audio_f32[0] * 20)))] += 1
        if window.cues and window.cues[0].text.isdigit():
            votes[int(window.cues[0].text)] += 1
        return votes * np.float32(np.log(0.6 / (0.4 / 9)))
