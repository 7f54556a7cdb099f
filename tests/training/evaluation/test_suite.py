"""The evaluation as a whole: a Bayes-optimal reader reaches every ceiling, and a cheating one exceeds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.evaluation.plain import PlainDataset, Reader
from triptych.models.window import PreparedWindow
from triptych.training.data.benchmarks.tasks import RULES
from triptych.training.data.example import Example, Task
from triptych.training.evaluation.classification import Tagging
from triptych.training.evaluation.perturbation import keep_only, shuffle_modalities, with_noise
from triptych.training.evaluation.regression import Regression
from triptych.training.evaluation.report import summary, to_json, write_report
from triptych.training.evaluation.suite import EvaluatedModel, Evaluation, EvaluationSize, evaluate

EXTENT = EvaluationSize(examples=700, examples_aside=192)


@pytest.fixture(scope="module")
def optimal() -> Evaluation:
    """The evaluation of an optimal reader on examples without a leak."""
    return evaluate(PlainDataset(), EvaluatedModel(Reader()), size=EXTENT, rules=RULES["quorum"])


def test_an_optimal_reader_reaches_every_ceiling(optimal: Evaluation) -> None:
    """It exceeds none of the seven."""
    assert len(optimal.by_subset) == 7
    for own in optimal.by_subset:
        assert own.ceiling is not None
        assert own.scores.accuracy == pytest.approx(own.ceiling, abs=3 * own.scores.standard_error)
    assert optimal.leaks == ()
    assert all(own.passed for own in optimal.shuffled)


def test_the_fused_output_is_compared_with_the_best_single_modality(optimal: Evaluation) -> None:
    """The difference is computed on the same examples."""
    assert len(optimal.best_single.modalities) == 1
    assert optimal.advantage is not None
    assert optimal.advantage.mean == pytest.approx(
        optimal.fused.accuracy - optimal.best_single.scores.accuracy  # type: ignore[union-attr]
    )
    assert 0.05 < optimal.advantage.low < optimal.advantage.mean < optimal.advantage.high


def test_noise_costs_the_contribution_of_its_modality(optimal: Evaluation) -> None:
    """At level 0 nothing changes. Noisy text leaves the accuracy of video and audio."""
    curves = {curve.modality: curve for curve in optimal.noise}
    assert set(curves) == {"video", "audio", "text"}
    words = curves["text"]
    assert words.fused[0] == pytest.approx(0.733, abs=0.09)
    assert words.fused[-1] < words.fused[0] - 0.05
    assert words.relative < words.fused[0]


def test_bayes_confidences_are_calibrated(optimal: Evaluation) -> None:
    """The logits of the vote are the true log-odds, and the temperature is 1."""
    assert optimal.confidence is not None
    assert optimal.confidence.before.ece < 0.04
    assert optimal.confidence.before == optimal.confidence.after


def test_further_test_splits_are_reported_separately(optimal: Evaluation) -> None:
    """Under their own names."""
    assert [own.split for own in optimal.elsewhere] == ["test-elsewhere"]
    assert optimal.elsewhere[0].count == 192


def test_a_leak_is_found() -> None:
    """Frames hold the truth, so the accuracy exceeds the ceiling, with one modality and with all."""
    found = evaluate(PlainDataset(leak=True), EvaluatedModel(Reader(cheats=True)), size=EXTENT, rules=RULES["quorum"])
    assert ("video",) in [own.modalities for own in found.leaks]
    assert not {own.anchor: own.passed for own in found.shuffled}["video"]


def test_the_report_has_all_sections_and_numbers(optimal: Evaluation, tmp_path: Path) -> None:
    """A page with every section and its plots, and the same numbers as JSON."""
    page = write_report(optimal, tmp_path, about={"model": "a vote"}).read_text()
    for wanted in (
        "# plain, test", "- model: a vote", "| video+audio+text |", "Leak test: passed", "## Calibration", "## Noise",
        "Best single modality:", "test-elsewhere", "![By label](confusion.png)",
    ):  # fmt: skip
        assert wanted in page
    shown = {line.partition("](")[2].rstrip(")") for line in page.splitlines() if line.startswith("![")}
    assert all((tmp_path / plot).stat().st_size > 5_000 for plot in shown)
    assert len(shown) == 4
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert numbers["leaks"] == []
    assert numbers["fused"]["accuracy"] == optimal.fused.accuracy  # type: ignore[union-attr]


def test_a_fused_output_that_is_worse_is_reported(tmp_path: Path) -> None:
    """In bold."""

    class Spoilt(Reader):
        def _logits(self, window: PreparedWindow) -> NDArray[np.float32]:
            right = super()._logits(window)
            return -right if window.cues and window.audio_present and window.frames_hwc_u8 else right

    found = evaluate(PlainDataset(), EvaluatedModel(Spoilt()), size=EvaluationSize(200, 64), rules=RULES["quorum"])
    page = write_report(found, tmp_path, about={}).read_text()
    assert "**The fused output is worse than the best single modality.**" in page


def test_keep_only_removes_modalities_completely(plain: PlainDataset) -> None:
    """The others do not change."""
    window = plain.examples("test", [0])[0].window
    alone = keep_only(window, ("audio",))
    assert (alone.frames_hwc_u8, alone.frame_times_ns, alone.cues) == ((), (), ())
    assert np.array_equal(alone.audio_f32, window.audio_f32)
    silent = keep_only(window, ("video", "text"))
    assert silent.audio_present == ()
    assert not silent.audio_f32.any()


def test_noise_grows_with_its_level(plain: PlainDataset) -> None:
    """There is none at 0."""
    window = plain.examples("test", [0])[0].window
    assert with_noise(window, "audio", 0, Random(0)) is window
    for modality in ("video", "audio"):
        distances = []
        for level in (0.2, 0.8):
            noisy = with_noise(window, modality, level, Random(0))
            first, second = (
                (each.frames_hwc_u8[0].astype(float) / 255 if modality == "video" else each.audio_f32)
                for each in (window, noisy)
            )
            distances.append(np.abs(first - second).mean())
        assert 0 < distances[0] < distances[1]
    assert with_noise(window, "text", 0.999, Random(1)).cues[0].text != window.cues[0].text


def test_shuffled_windows_keep_only_one_modality(plain: PlainDataset) -> None:
    """Every other modality comes from another window, and none is lost."""
    windows = [example.window for example in plain.examples("test", range(8))]
    mixed = shuffle_modalities(windows, "audio", Random(0))
    assert [each.audio_f32 is own.audio_f32 for each, own in zip(mixed, windows, strict=True)] == [True] * 8
    assert not any(each.frames_hwc_u8 is own.frames_hwc_u8 for each, own in zip(mixed, windows, strict=True))
    assert sorted(each.cues[0].text for each in mixed) == sorted(each.cues[0].text for each in windows)


@pytest.fixture
def plain() -> PlainDataset:
    """Examples without a leak."""
    return PlainDataset()


class Numbered(PlainDataset):
    """The same digits as numbers around 0."""

    @property
    def task(self) -> Task:
        """Return a regression task."""
        return replace(super().task, kind="regression", labels=())

    def _example(self, split: str, index: int) -> Example:
        example = super()._example(split, index)
        return replace(example, target=float(example.target) - 4.5)  # type: ignore[arg-type]


class Tagged(PlainDataset):
    """The digits of all witnesses."""

    @property
    def task(self) -> Task:
        """Return a multilabel task."""
        return replace(super().task, kind="multilabel")

    def _example(self, split: str, index: int) -> Example:
        example = super()._example(split, index)
        return replace(example, target=tuple(sorted(set(example.parts.values()))))


def test_a_regression_is_evaluated(tmp_path: Path) -> None:
    """With its own metrics for every subset. The best single modality has the smallest error."""

    def predict(windows: Sequence[PreparedWindow]) -> NDArray[np.float32]:
        return Reader()(windows).argmax(axis=1).astype(np.float32) - np.float32(4.5)

    found = evaluate(Numbered(), EvaluatedModel(predict), size=EvaluationSize(200))
    assert isinstance(found.fused, Regression)
    assert found.fused.mae < found.best_single.scores.mae  # type: ignore[union-attr]
    assert found.fused.correlation is not None
    page = write_report(found, tmp_path, about={}).read_text()
    assert "mean absolute error" in page
    assert "## Confidence" not in page


def test_a_multilabel_task_is_evaluated(tmp_path: Path) -> None:
    """All witnesses together give all digits; a single one misses those of the others."""

    def predict(windows: Sequence[PreparedWindow]) -> NDArray[np.float32]:
        return Reader()(windows) - np.float32(0.5)

    found = evaluate(Tagged(), EvaluatedModel(predict), size=EvaluationSize(200))
    assert isinstance(found.fused, Tagging)
    assert found.fused.exact == 1
    assert found.best_single.scores.f1_macro < 0.9  # type: ignore[union-attr]
    assert "macro F1 1.000" in write_report(found, tmp_path, about={}).read_text()


def test_a_perfect_score_of_a_few_examples_is_not_taken_for_certain(tmp_path: Path) -> None:
    """The terminal, the page and the numbers carry Wilson's interval and a warning, and no ± 0.000."""
    cheat = EvaluatedModel(Reader(cheats=True))
    few = evaluate(PlainDataset(leak=True), cheat, size=EvaluationSize(12, 12), rules=RULES["quorum"])

    page = write_report(few, tmp_path, about={}).read_text(encoding="utf-8")
    numbers = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    lines = list(summary(few))

    assert "accuracy 1.000 (95 %: 0.758 to 1.000) with all modalities" in lines[0]
    assert lines[1].startswith("WARNING: only 12 examples: expected 100 or more.")
    assert "**Warning: only 12 examples: expected 100 or more." in page
    assert "±" not in page
    assert numbers["fused"]["standard_error"] == 0
    assert numbers["fused"]["interval"]["low"] == pytest.approx(0.757, abs=1e-3)
    assert numbers["warnings"][0].startswith("only 12 examples")


def test_enough_examples_need_no_warning(optimal: Evaluation) -> None:
    """The main test has 700 examples, and the others 192."""
    assert to_json(optimal, {})["warnings"] == []
    few = replace(optimal, shuffled=tuple(replace(test, count=20) for test in optimal.shuffled))
    (warning,) = to_json(few, {})["warnings"]  # type: ignore[misc]
    assert warning == (
        "fewer than 100 examples in parts of the report: shuffle test, video (20), shuffle test, audio (20), "
        "shuffle test, text (20)"
    )
