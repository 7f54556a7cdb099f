"""The data sets of the generated benchmarks: from an outcome of the rules to a window that shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from triptych.models.model import InputSpec
from triptych.models.window import PreparedCue, PreparedWindow
from triptych.schemas.errors import UsageError
from triptych.training.data.benchmarks.composition import (
    DigitPaint,
    add_border,
    on_backdrop,
    paint_digit,
    place_utterance,
)
from triptych.training.data.benchmarks.rules import Rules
from triptych.training.data.benchmarks.tasks import MOODS, NOTHING, RULES
from triptych.training.data.example import Example, Task
from triptych.training.data.pools.cache import TrackProgress, no_progress, pools_folder
from triptych.training.data.pools.images import HELD_OUT, SIZE, PicturePool, picture_pool
from triptych.training.data.pools.speech import SpeechPool, speech_pool
from triptych.training.data.pools.subtitles import digit_line, filler_line, mood_line, operation_line
from triptych.training.data.pools.voices import OTHER_ENGINE, RATE_HZ, RECORDED
from triptych.units import NS_PER_MS

Pixels = NDArray[np.uint8]

WINDOW_NS: Final = 2_000_000_000
TEXT_TOKENS: Final = 32


@dataclass(frozen=True, slots=True)
class PoolSplits:
    """The split of each component pool that an example draws from."""

    pictures: str
    faces: str
    voices: str
    lines: str

    @classmethod
    def of(cls, split: str) -> PoolSplits:
        """Return the pool splits of a data set's split. Splits beyond the usual three have one unseen component."""
        usual = split if split in {"train", "validation"} else "test"
        return cls(
            pictures=usual,
            faces=HELD_OUT if split == "test-glyphs" else usual,
            voices={"test-engine": OTHER_ENGINE, "test-recorded": RECORDED}.get(split, usual),
            lines=usual,
        )


@dataclass(frozen=True, slots=True)
class SceneContext:
    """What an example is made with: component pools, their splits, and a random generator."""

    pictures: PicturePool
    speech: SpeechPool
    pool_splits: PoolSplits
    rng: Random


@dataclass(frozen=True, slots=True)
class Scene:
    """The content of one window: frames, an utterance and a line of text. Each may be missing."""

    pictures: tuple[Pixels, ...] = ()
    utterance: NDArray[np.int16] | None = None
    line: str | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One generated benchmark.

    Attributes:
        rules: define the ground truth.
        frames: frames in each window.
        scene: renders an outcome of the rules.
        extra_splits: test splits with a component unseen in training.
        about: one-line description.
    """

    rules: Rules
    frames: int
    scene: Callable[[SceneContext, Mapping[str, int]], Scene]
    extra_splits: tuple[str, ...]
    about: str

    @property
    def task(self) -> Task:
        """Return the task."""
        spec = InputSpec(self.frames, SIZE, SIZE, RATE_HZ, TEXT_TOKENS)
        return Task(self.rules.name, "multiclass", self.rules.labels, self.rules.parts, spec, WINDOW_NS)


SIZES: Final[Mapping[str, int]] = {"train": 65_536, "validation": 2_048, "test": 4_096}
"""Examples in each split; further test splits have as many as validation. Indices beyond the size give further
examples, because only many examples tell chance (such as who is wrong in `quorum`) from structure.
"""


class GeneratedDataset:
    """A data set of generated examples. The same split, index and seed always give the same example."""

    def __init__(self, benchmark: Benchmark, pictures: PicturePool, speech: SpeechPool, *, seed: int = 0) -> None:
        self.benchmark = benchmark
        self.task = benchmark.task
        self._pictures = pictures
        self._speech = speech
        self._seed = seed

    @property
    def is_endless(self) -> bool:
        """Return True: indices beyond the size of a split give further examples."""
        return True

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the splits."""
        return (*SIZES, *self.benchmark.extra_splits)

    def size(self, split: str) -> int:
        """Return the number of examples in a split."""
        self._check(split)
        return SIZES.get(split, SIZES["validation"])

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return the examples at these indices, in this order."""
        self._check(split)
        return [self._example(split, index) for index in indices]

    def _example(self, split: str, index: int) -> Example:
        name = f"{self.task.name}/{self._seed}/{split}/{index}"
        rng = Random(name)
        shown = self.benchmark.rules.draw(rng)
        context = SceneContext(self._pictures, self._speech, PoolSplits.of(split), rng)
        window = _window(self.benchmark.scene(context, shown.parts), self.task, rng)
        return Example(name, window, shown.target, shown.parts, group=name)

    def _check(self, split: str) -> None:
        if split not in self.splits:
            raise UsageError(f"{self.task.name} has no split {split!r}; there are: {', '.join(self.splits)}")


def open_benchmark(
    name: str, *, seed: int = 0, folder: Path | None = None, track: TrackProgress[Any] = no_progress
) -> GeneratedDataset:
    """Return the data set of a benchmark. Renders the component pools first if they are not in the folder.

    Args:
        name: name of the benchmark.
        seed: seed of the examples.
        folder: folder of the pools; None for the cache.
        track: shows progress.

    Raises:
        UsageError: there is no such benchmark, or a program that renders components is missing.
    """
    if name not in BENCHMARKS:
        raise UsageError(f"no benchmark is called {name!r}; there are: {', '.join(BENCHMARKS)}")
    folder = pools_folder() if folder is None else folder
    return GeneratedDataset(BENCHMARKS[name], picture_pool(folder, track), speech_pool(folder, track), seed=seed)


# --- scenes ---------------------------------------------------------------------------------------------------------


def _sentiment(context: SceneContext, parts: Mapping[str, int]) -> Scene:
    voice = None
    if "audio/voice" in parts:
        voice = context.speech.utterance(context.pool_splits.voices, "mood", parts["audio/voice"], context.rng)
    return Scene(
        _glyph(context, context.pictures.face(context.pool_splits.faces, MOODS[parts["video/face"]], context.rng)),
        voice,
        mood_line(context.pool_splits.lines, MOODS[parts["text/words"]], context.rng),
    )


def _witnesses(context: SceneContext, parts: Mapping[str, int]) -> Scene:
    """Show, speak and write a digit. For `NOTHING`, show an object, speak a filler and write a filler line."""
    seen, heard, read = (parts[f"{modality}/digit"] for modality in ("video", "audio", "text"))
    pool_splits, rng = context.pool_splits, context.rng
    return Scene(
        _glyph(context, context.pictures.thing(pool_splits.pictures, rng))
        if seen == NOTHING
        else _still_digit(context, seen),
        context.speech.utterance(pool_splits.voices, *(("filler", 0) if heard == NOTHING else ("digit", heard)), rng),
        filler_line(pool_splits.lines, rng) if read == NOTHING else digit_line(pool_splits.lines, read, rng),
    )


def _refer(context: SceneContext, parts: Mapping[str, int]) -> Scene:
    pool_splits, rng = context.pool_splits, context.rng
    pictures = []
    for place in range(4):
        digit = context.pictures.digit(pool_splits.pictures, parts[f"video/digit/{place}"], rng)
        picture = paint_digit(context.pictures.backdrop(pool_splits.pictures, rng), digit, DigitPaint.any(rng), rng)
        pictures.append(add_border(picture, parts[f"video/border/{place}"], rng))
    return Scene(
        tuple(pictures),
        context.speech.utterance(pool_splits.voices, "colour", parts["audio/colour"], rng),
        operation_line(pool_splits.lines, parts["text/operation"], rng),
    )


def _glyph(context: SceneContext, glyph: Pixels) -> tuple[Pixels, ...]:
    """Return two frames with one glyph on one backdrop that moves slightly."""
    backdrop = context.pictures.backdrop(context.pool_splits.pictures, context.rng)
    return tuple(on_backdrop(backdrop, glyph, context.rng) for _ in range(2))


def _still_digit(context: SceneContext, value: int) -> tuple[Pixels, ...]:
    """Return two frames with one handwritten digit in one colour."""
    backdrop = context.pictures.backdrop(context.pool_splits.pictures, context.rng)
    digit = context.pictures.digit(context.pool_splits.pictures, value, context.rng)
    paint = DigitPaint.any(context.rng)
    return tuple(paint_digit(backdrop, digit, paint, context.rng) for _ in range(2))


def _window(scene: Scene, task: Task, rng: Random) -> PreparedWindow:
    samples = task.window_ns * task.spec.sample_rate_hz // 1_000_000_000
    cues: tuple[PreparedCue, ...] = ()
    if scene.line is not None:
        cues = (PreparedCue(scene.line, rng.randrange(0, 500) * NS_PER_MS, rng.randrange(1_000, 2_000) * NS_PER_MS),)
    count = len(scene.pictures)
    return PreparedWindow(
        stream=task.name,
        start_ns=0,
        end_ns=task.window_ns,
        frames_hwc_u8=scene.pictures,
        frame_times_ns=tuple((2 * place + 1) * task.window_ns // (2 * count) for place in range(count)),
        audio_f32=place_utterance(scene.utterance, samples, rng),
        audio_present=() if scene.utterance is None else ((0, samples),),
        cues=cues,
    )


BENCHMARKS: Final[Mapping[str, Benchmark]] = {
    benchmark.rules.name: benchmark
    for benchmark in (
        Benchmark(
            RULES["sentiment"], 2, _sentiment, ("test-glyphs", "test-engine"),
            "the sign of text + face + voice, each negative, neutral or positive",
        ),
        Benchmark(
            RULES["sentiment-pair"], 2, _sentiment, ("test-glyphs",),
            "the same with text and face only",
        ),
        Benchmark(
            RULES["quorum"], 2, _witnesses, ("test-engine", "test-recorded"),
            "a digit shown, spoken and written, each wrong in two of five cases",
        ),
        Benchmark(
            RULES["refer"], 4, _refer, ("test-engine",),
            "the one of four digits in the spoken colour, changed by the written operation",
        ),
        Benchmark(
            RULES["decider"], 2, _witnesses, ("test-engine", "test-recorded"),
            "a digit that one modality shows; the others show nothing about it",
        ),
    )
}  # fmt: skip
