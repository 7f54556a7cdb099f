"""The worker predicts for a clip what the evaluation predicts for its examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.worker.world import World
from triptych.models.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from triptych.models.network.architecture import build_network
from triptych.settings.loading import load
from triptych.training.config import NetworkConfig, TrainConfig
from triptych.training.data.benchmarks.benchmark import BENCHMARKS, GeneratedDataset
from triptych.training.data.clip_records import clip_records
from triptych.training.data.pools.images import PicturePool
from triptych.training.data.pools.speech import SpeechPool
from triptych.training.data.rendering import write_clip
from triptych.training.evaluation.calibration import softmax
from triptych.training.evaluation.evaluated_model import evaluated_model
from triptych.training.network_design import new_card

START_NS = 1_767_225_600 * 1_000_000_000


def test_a_rendered_film_gets_the_predictions_of_the_evaluation(
    pictures: PicturePool, speech: SpeechPool, tmp_path: Path
) -> None:
    """Through a producer's records, topics and a worker, window by window, except for the producer's JPEG."""
    dataset = GeneratedDataset(BENCHMARKS["sentiment"], pictures, speech)
    torch.manual_seed(0)
    card = new_card(dataset.task, TrainConfig(network=NetworkConfig(width=16)), name="fresh")
    save_checkpoint(tmp_path, build_network(card.architecture, weights_folder=tmp_path).model, card)
    windows = [example.window for example in dataset.examples("test", range(5))]
    write_clip(windows, tmp_path / "film.mkv")

    world = World()
    world.settings = load(overrides={"model.name": str(tmp_path), "batch.max_delay_ms": 0}, environ={})
    world.send(clip_records(tmp_path / "film.mkv", START_NS, quality=100))
    world.work()

    subject = evaluated_model(load_checkpoint(tmp_path, weights_folder=tmp_path), dataset.task, torch.device("cpu"))
    expected = softmax(subject.predict(windows).astype(np.float64))
    results = sorted(world.results(), key=lambda result: result.start_ns)
    assert [result.start_ns - START_NS for result in results] == [number * 2_000_000_000 for number in range(5)]
    for row, result in zip(expected, results, strict=True):
        said = {each.label: each.score for each in result.predictions["target"]}
        assert [said[label] for label in dataset.task.labels] == pytest.approx(list(row), abs=0.01)
