"""The generated benchmarks: examples by index, disjoint between splits, in the worker's format of windows."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from triptych.models.network.collate import collate, empty_batch
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError
from triptych.training.data.benchmarks.benchmark import BENCHMARKS, GeneratedDataset, PoolSplits, open_benchmark
from triptych.training.data.pools.images import PicturePool
from triptych.training.data.pools.speech import SpeechPool
from triptych.training.data.pools.subtitles import digit_line, filler_line, mood_line, operation_line


def test_the_same_index_gives_the_same_example(dataset: GeneratedDataset) -> None:
    """Whatever else was requested, in any order."""
    alone = dataset.examples("test", [7])[0]
    among = dataset.examples("test", [3, 7, 1])[1]
    assert _same(alone.window, among.window)
    assert (alone.id, alone.target, alone.parts) == (among.id, among.target, among.parts)


def test_another_seed_split_or_index_gives_another_example(pictures: PicturePool, speech: SpeechPool) -> None:
    """No two examples are the same."""
    first = GeneratedDataset(BENCHMARKS["sentiment"], pictures, speech)
    second = GeneratedDataset(BENCHMARKS["sentiment"], pictures, speech, seed=1)
    windows = [
        first.examples("train", [0])[0].window,
        first.examples("train", [1])[0].window,
        first.examples("test", [0])[0].window,
        second.examples("train", [0])[0].window,
    ]
    assert not any(_same(one, other) for place, one in enumerate(windows) for other in windows[:place])


def test_windows_fit_the_task(dataset: GeneratedDataset) -> None:
    """They collate into a batch of the task's shapes, with every modality of the rules."""
    spec = dataset.task.spec
    samples = dataset.task.window_ns * spec.sample_rate_hz // 1_000_000_000
    for split in dataset.splits:
        examples = dataset.examples(split, range(4))
        windows = [example.window for example in examples]
        batch = collate(windows, empty_batch(4, samples, spec), lambda text: [1, *range(2, 2 + len(text)), 2])
        present = [modality for modality in ("video", "audio", "text") if batch.rows_with(modality)]
        assert set(present) == set(dataset.benchmark.rules.modalities)
        assert all(len(window.frames_hwc_u8) == spec.frames for window in windows)
        assert all(0 <= example.target < len(dataset.task.labels) for example in examples)  # type: ignore[operator]


def test_every_sample_is_a_multiple_of_the_16_bit_step(dataset: GeneratedDataset) -> None:
    """So a PCM file stores the audio without loss."""
    for example in dataset.examples("train", range(4)):
        steps = example.window.audio_f32 * 32_768
        assert np.array_equal(steps, np.rint(steps))
        assert np.abs(example.window.audio_f32).max() <= 1


def test_components_have_names_for_all_their_values(dataset: GeneratedDataset) -> None:
    """Each component of an example is one of the task's."""
    for example in dataset.examples("validation", range(20)):
        assert set(example.parts) == set(dataset.task.parts)
        assert all(0 <= value < len(dataset.task.parts[part]) for part, value in example.parts.items())


def test_further_test_splits_have_one_unseen_component() -> None:
    """Everything else is from the test pools."""
    assert PoolSplits.of("test-glyphs") == PoolSplits("test", "glyphs", "test", "test")
    assert PoolSplits.of("test-engine") == PoolSplits("test", "test", "engine", "test")
    assert PoolSplits.of("test-recorded") == PoolSplits("test", "test", "recorded", "test")


def test_an_unknown_split_is_rejected(dataset: GeneratedDataset) -> None:
    """The message lists the splits."""
    with pytest.raises(UsageError, match="no split 'dev'; there are: train, validation, test"):
        dataset.examples("dev", [0])


def test_an_unknown_benchmark_is_rejected() -> None:
    """The message lists the benchmarks."""
    with pytest.raises(UsageError, match="no benchmark is called 'mood'; there are: sentiment"):
        open_benchmark("mood")


@pytest.mark.parametrize("make", [mood_line, digit_line, operation_line, filler_line])
def test_lines_are_disjoint_between_splits(make: object) -> None:
    """No line of the test split is in training."""

    def lines(shelf: str) -> set[str]:
        values = {mood_line: ("negative", "positive"), digit_line: (0, 9), operation_line: (0, 1, 2)}.get(make, (None,))  # type: ignore[call-overload]
        return {
            make(shelf, *([] if value is None else [value]), Random(f"{shelf} {number}"))  # type: ignore[operator]
            for number in range(300)
            for value in values
        }

    found = [lines(shelf) for shelf in ("train", "validation", "test")]
    assert all(len(own) > 1 for own in found)
    assert len(set().union(*found)) == sum(map(len, found))


def _same(one: PreparedWindow, other: PreparedWindow) -> bool:
    return (
        np.array_equal(np.stack(one.frames_hwc_u8), np.stack(other.frames_hwc_u8))
        and np.array_equal(one.audio_f32, other.audio_f32)
        and one.cues == other.cues
    )
