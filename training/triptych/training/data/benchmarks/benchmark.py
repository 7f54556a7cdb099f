"""The generated benchmarks: from what the rules let each modality show to a window that shows it."""

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
from triptych.training.data.benchmarks.composition import Paint, lay_sound, on_backdrop, painted_digit, with_border
from triptych.training.data.benchmarks.rules import Rules
from triptych.training.data.benchmarks.tasks import MOODS, NOTHING, RULES
from triptych.training.data.example import Example, Task
from triptych.training.data.pools.cache import Track, pools_folder, untracked
from triptych.training.data.pools.pictures import HELD_OUT, SIZE, PicturePool, picture_pool
from triptych.training.data.pools.speech import SpeechPool, speech_pool
from triptych.training.data.pools.voices import OTHER_ENGINE, RATE_HZ, RECORDED
from triptych.training.data.pools.words import digit_line, filler_line, mood_line, operation_line
from triptych.units import NS_PER_MS

Pixels = NDArray[np.uint8]

WINDOW_NS: Final = 2_000_000_000
TEXT_TOKENS: Final = 32


@dataclass(frozen=True, slots=True)
class Shelves:
    """From which shelf of each pool an example takes its components."""

    pictures: str
    faces: str
    voices: str
    lines: str

    @classmethod
    def of(cls, split: str) -> Shelves:
        """Return the shelves of a split; beyond the usual three, one component is of a kind never seen in training."""
        usual = split if split in {"train", "validation"} else "test"
        return cls(
            pictures=usual,
            faces=HELD_OUT if split == "test-glyphs" else usual,
            voices={"test-engine": OTHER_ENGINE, "test-recorded": RECORDED}.get(split, usual),
            lines=usual,
        )


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that an example is made with: the pools, where to take from, and chance."""

    pictures: PicturePool
    speech: SpeechPool
    shelves: Shelves
    chance: Random


@dataclass(frozen=True, slots=True)
class Scene:
    """What happens in one window: pictures, an utterance and a line, each of which may be missing."""

    pictures: tuple[Pixels, ...] = ()
    utterance: NDArray[np.int16] | None = None
    line: str | None = None


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One generated benchmark.

    Attributes:
        rules: where its truth comes from.
        frames: pictures in each window.
        scene: shows an outcome of the rules.
        extra_splits: tests with a component of a kind never seen in training.
        about: one line for the reader.
    """

    rules: Rules
    frames: int
    scene: Callable[[Stage, Mapping[str, int]], Scene]
    extra_splits: tuple[str, ...]
    about: str

    @property
    def task(self) -> Task:
        """Say what is to be learnt."""
        spec = InputSpec(self.frames, SIZE, SIZE, RATE_HZ, TEXT_TOKENS)
        return Task(self.rules.name, "multiclass", self.rules.labels, self.rules.parts, spec, WINDOW_NS)


SIZES: Final[Mapping[str, int]] = {"train": 65_536, "validation": 2_048, "test": 4_096}
"""How many examples a split has; of the further tests as many as of the validation. Behind them come others of the same
pools: only many examples tell chance, such as who errs in `quorum`, from what holds."""


class GeneratedDataset:
    """Draw examples: the same split, index and seed give the same example, whenever and in whatever order."""

    def __init__(self, benchmark: Benchmark, pictures: PicturePool, speech: SpeechPool, *, seed: int = 0) -> None:
        self.benchmark = benchmark
        self.task = benchmark.task
        self._pictures = pictures
        self._speech = speech
        self._seed = seed

    @property
    def is_endless(self) -> bool:
        """Say that behind the last index of a split others follow."""
        return True

    @property
    def splits(self) -> tuple[str, ...]:
        """Return the splits there are."""
        return (*SIZES, *self.benchmark.extra_splits)

    def size(self, split: str) -> int:
        """Return how many examples a split has."""
        self._check(split)
        return SIZES.get(split, SIZES["validation"])

    def examples(self, split: str, indices: Sequence[int]) -> list[Example]:
        """Return the examples at these indices, in their order."""
        self._check(split)
        return [self._example(split, index) for index in indices]

    def _example(self, split: str, index: int) -> Example:
        name = f"{self.task.name}/{self._seed}/{split}/{index}"
        chance = Random(name)
        shown = self.benchmark.rules.draw(chance)
        stage = Stage(self._pictures, self._speech, Shelves.of(split), chance)
        window = _window(self.benchmark.scene(stage, shown.parts), self.task, chance)
        return Example(name, window, shown.target, shown.parts, group=name)

    def _check(self, split: str) -> None:
        if split not in self.splits:
            raise UsageError(f"{self.task.name} has no split {split!r}; there are: {', '.join(self.splits)}")


def open_benchmark(
    name: str, *, seed: int = 0, folder: Path | None = None, track: Track[Any] = untracked
) -> GeneratedDataset:
    """Return a benchmark's data, its pools rendered where they are not in the cache (or `folder`) yet.

    Raises:
        UsageError: there is no such benchmark, or what its pools are made with is not installed.
    """
    if name not in BENCHMARKS:
        raise UsageError(f"no benchmark is called {name!r}; there are: {', '.join(BENCHMARKS)}")
    folder = pools_folder() if folder is None else folder
    return GeneratedDataset(BENCHMARKS[name], picture_pool(folder, track), speech_pool(folder, track), seed=seed)


# --- scenes ---------------------------------------------------------------------------------------------------------


def _sentiment(stage: Stage, parts: Mapping[str, int]) -> Scene:
    voice = None
    if "audio/voice" in parts:
        voice = stage.speech.utterance(stage.shelves.voices, "mood", parts["audio/voice"], stage.chance)
    return Scene(
        _glyph(stage, stage.pictures.face(stage.shelves.faces, MOODS[parts["video/face"]], stage.chance)),
        voice,
        mood_line(stage.shelves.lines, MOODS[parts["text/words"]], stage.chance),
    )


def _witnesses(stage: Stage, parts: Mapping[str, int]) -> Scene:
    """Show, say and write a digit; `NOTHING` is a thing, a filler and an idle line."""
    seen, heard, read = (parts[f"{modality}/digit"] for modality in ("video", "audio", "text"))
    shelves, chance = stage.shelves, stage.chance
    return Scene(
        _glyph(stage, stage.pictures.thing(shelves.pictures, chance)) if seen == NOTHING else _still_digit(stage, seen),
        stage.speech.utterance(shelves.voices, *(("filler", 0) if heard == NOTHING else ("digit", heard)), chance),
        filler_line(shelves.lines, chance) if read == NOTHING else digit_line(shelves.lines, read, chance),
    )


def _refer(stage: Stage, parts: Mapping[str, int]) -> Scene:
    shelves, chance = stage.shelves, stage.chance
    pictures = []
    for place in range(4):
        digit = stage.pictures.digit(shelves.pictures, parts[f"video/digit/{place}"], chance)
        picture = painted_digit(stage.pictures.backdrop(shelves.pictures, chance), digit, Paint.any(chance), chance)
        pictures.append(with_border(picture, parts[f"video/border/{place}"], chance))
    return Scene(
        tuple(pictures),
        stage.speech.utterance(shelves.voices, "colour", parts["audio/colour"], chance),
        operation_line(shelves.lines, parts["text/operation"], chance),
    )


def _glyph(stage: Stage, glyph: Pixels) -> tuple[Pixels, ...]:
    """Show one glyph twice before one backdrop, which moves a little."""
    backdrop = stage.pictures.backdrop(stage.shelves.pictures, stage.chance)
    return tuple(on_backdrop(backdrop, glyph, stage.chance) for _ in range(2))


def _still_digit(stage: Stage, value: int) -> tuple[Pixels, ...]:
    """Show one handwritten digit twice, in one colour."""
    backdrop = stage.pictures.backdrop(stage.shelves.pictures, stage.chance)
    digit = stage.pictures.digit(stage.shelves.pictures, value, stage.chance)
    paint = Paint.any(stage.chance)
    return tuple(painted_digit(backdrop, digit, paint, stage.chance) for _ in range(2))


def _window(scene: Scene, task: Task, chance: Random) -> PreparedWindow:
    samples = task.window_ns * task.spec.sample_rate_hz // 1_000_000_000
    cues: tuple[PreparedCue, ...] = ()
    if scene.line is not None:
        cues = (
            PreparedCue(scene.line, chance.randrange(0, 500) * NS_PER_MS, chance.randrange(1_000, 2_000) * NS_PER_MS),
        )
    count = len(scene.pictures)
    return PreparedWindow(
        stream=task.name,
        start_ns=0,
        end_ns=task.window_ns,
        frames_hwc_u8=scene.pictures,
        frame_times_ns=tuple((2 * place + 1) * task.window_ns // (2 * count) for place in range(count)),
        audio_f32=lay_sound(scene.utterance, samples, chance),
        audio_present=() if scene.utterance is None else ((0, samples),),
        cues=cues,
    )


BENCHMARKS: Final[Mapping[str, Benchmark]] = {
    benchmark.rules.name: benchmark
    for benchmark in (
        Benchmark(
            RULES["sentiment"], 2, _sentiment, ("test-glyphs", "test-engine"),
            "the sign of words + face + voice, each negative, neutral or positive",
        ),
        Benchmark(
            RULES["sentiment-pair"], 2, _sentiment, ("test-glyphs",),
            "the same of words and face alone",
        ),
        Benchmark(
            RULES["quorum"], 2, _witnesses, ("test-engine", "test-recorded"),
            "a digit that is shown, said and written, each wrong in two of five",
        ),
        Benchmark(
            RULES["refer"], 4, _refer, ("test-engine",),
            "of four digits the one in the colour that is said, plus or minus what is written",
        ),
        Benchmark(
            RULES["decider"], 2, _witnesses, ("test-engine", "test-recorded"),
            "a digit that one modality tells; the two others tell nothing",
        ),
    )
}  # fmt: skip
