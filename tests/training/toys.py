"""A data set that is learned in seconds: brightness and a word must be added. Examples are generated on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from triptych.models.model import InputSpec
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.training.config import LossConfig, NetworkConfig, TrainConfig
from triptych.training.data.example import Example, Kind, Target, Task

WORDS = ("bad", "good")
WINDOW_NS = 2_000_000_000
QUICK = TrainConfig(
    network=NetworkConfig(width=16, dropout=0.1, modalities=("video", "text")),
    loss=LossConfig(modality_dropout=0.1),
    steps=40,
    batch=16,
    rate=1e-2,
    evaluate_every=10,
    validation_size=48,
)


@dataclass(frozen=True)
class ToyDataset:
    """Dark or bright frames and a word. Together they give 0, 1 or 2.

    Attributes:
        kind: kind of task. `multilabel` asks which of the two are positive, `regression` for ten times their number.
        train: number of training examples.
        splits: splits of the data set.
    """

    kind: Kind = "multiclass"
    train: int = 160
    splits: tuple[str, ...] = ("train", "validation")

    @property
    def task(self) -> Task:
        """Return the task."""
        labels = {"multiclass": ("none", "one", "both"), "multilabel": ("bright", "good"), "regression": ()}[self.kind]
        parts = {"video/light/0": ("dark", "bright"), "text/word": WORDS, "mood": ("same", "mixed")}
        return Task("toy", self.kind, labels, parts, InputSpec(1, 16, 16, 16_000, 8), WINDOW_NS)

    def size(self, split: str) -> int:
        """Return the number of examples."""
        return self.train if split == "train" else 48

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return generated examples."""
        return [self._example(split, index) for index in indices]

    def _example(self, split: str, index: int) -> Example:
        random = np.random.default_rng((split == "train", index))
        bright, good = (int(number) for number in random.integers(0, 2, 2))
        picture = random.integers(0, 100, (16, 16, 3)) + 150 * bright
        target: Target = bright + good
        if self.kind == "multilabel":
            target = tuple(label for label, holds in enumerate((bright, good)) if holds)
        elif self.kind == "regression":
            target = 10.0 * (bright + good)
        window = PreparedWindow(
            stream="toy",
            start_ns=0,
            end_ns=WINDOW_NS,
            frames_hwc_u8=(picture.astype(np.uint8),),
            frame_times_ns=(0,),
            audio_f32=np.zeros(32_000, np.float32),
            audio_present=(),
            cues=(PreparedCue(f"it is {WORDS[good]}", 0, WINDOW_NS),),
        )
        parts = {"video/light/0": bright, "text/word": good, "mood": int(bright != good) if index % 2 else -1}
        return Example(f"{split}/{index}", window, target, parts, group=str(index))


def quick(**changes: object) -> TrainConfig:
    """Return a configuration that trains in seconds, with these changes."""
    return replace(QUICK, **changes)  # type: ignore[arg-type]
