"""Checkpoints are evaluated as they are served, and rejected if they do not fit the task."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer import Typer
from typer.testing import CliRunner

from triptych.models.checkpoints.card import Card
from triptych.models.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from triptych.models.execution.runtime import RunOptions
from triptych.models.network.architecture import build_network
from triptych.models.trained import build_trained_model
from triptych.schemas.errors import UsageError
from triptych.training.config import NetworkConfig, TrainConfig
from triptych.training.data import catalogue
from triptych.training.data.benchmarks.benchmark import BENCHMARKS, GeneratedDataset
from triptych.training.data.pools.images import PicturePool
from triptych.training.data.pools.speech import SpeechPool
from triptych.training.evaluation.calibration import softmax
from triptych.training.evaluation.cli import evaluate
from triptych.training.evaluation.evaluated_model import evaluated_model
from triptych.training.network_design import new_card

CPU = torch.device("cpu")


@pytest.fixture
def sentiment(pictures: PicturePool, speech: SpeechPool) -> GeneratedDataset:
    """The benchmark with small pools."""
    return GeneratedDataset(BENCHMARKS["sentiment"], pictures, speech)


@pytest.fixture
def checkpoint(sentiment: GeneratedDataset, tmp_path: Path) -> Path:
    """A checkpoint of an untrained network."""
    torch.manual_seed(0)
    card: Card = new_card(sentiment.task, TrainConfig(network=NetworkConfig(width=16)), name="fresh")
    save_checkpoint(tmp_path / "model", build_network(card.architecture, weights_folder=tmp_path).model, card)
    return tmp_path / "model"


def test_the_evaluated_model_is_the_served_one(sentiment: GeneratedDataset, checkpoint: Path) -> None:
    """The probabilities are those of the worker's predictions."""
    loaded = load_checkpoint(checkpoint, weights_folder=checkpoint)
    windows = [example.window for example in sentiment.examples("test", range(3))]
    subject = evaluated_model(loaded, sentiment.task, CPU)
    measured = softmax(subject.predict(windows).astype(np.float64))
    served = build_trained_model(loaded, RunOptions(CPU, sentiment.task.window_ns, 4)).predict(windows)
    for row, prediction in zip(measured, served, strict=True):
        assert prediction.predictions is not None
        scores = {score.label: score.score for score in prediction.predictions["target"]}
        assert [scores[label] for label in sentiment.task.labels] == pytest.approx(list(row), abs=1e-5)


def test_a_model_of_another_task_is_rejected(sentiment: GeneratedDataset, checkpoint: Path) -> None:
    """The message lists the differences."""
    loaded = load_checkpoint(checkpoint, weights_folder=checkpoint)
    other = replace(sentiment.task, name="other", labels=("low", "high"), window_ns=1_000_000_000)
    with pytest.raises(UsageError, match=r"fresh was not trained for other: it has labels .* window_ns 2000000000"):
        evaluated_model(loaded, other, CPU)


def test_the_command_writes_a_report(
    sentiment: GeneratedDataset, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With every section, including the ceilings of a benchmark."""
    monkeypatch.setattr(catalogue, "open_dataset", lambda *_, **__: sentiment)
    app = Typer()
    app.command()(evaluate)
    arguments = [str(checkpoint), "--data", "sentiment", "--examples", "32", "--aside", "8", "--out", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "best single modality:" in result.output
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["about"]["model"].startswith("fresh 1, sha256 ")
    assert [subset["ceiling"] for subset in report["by_subset"]] == pytest.approx([5 / 9] * 3 + [17 / 27] * 3 + [1])
    assert {each["split"] for each in report["elsewhere"]} == {"test-glyphs", "test-engine"}
    assert "Leak test: passed" in (tmp_path / "report.md").read_text()
