"""A model from the package on real servers, compared with the evaluation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.e2e.programs import Installation, by_id
from triptych.models.checkpoints.checkpoint import load_checkpoint
from triptych.training.data.benchmarks.benchmark import BENCHMARKS
from triptych.training.data.clip_records import clip_records
from triptych.training.data.window_preparation import prepared_windows
from triptych.training.evaluation.calibration import softmax
from triptych.training.evaluation.evaluated_model import evaluated_model
from triptych.worker.alignment.config import AlignConfig

FOLDER = Path(__file__).parents[1] / "data" / "sentiment"
START = "2026-01-01T00:00:00Z"
START_NS = 1_767_225_600_000_000_000


def test_a_worker_predicts_what_the_evaluation_predicts(install: Callable[..., Installation], tmp_path: Path) -> None:
    """A rendered `sentiment` clip, window by window: the same scores and confidences, and the correct labels."""
    here = install(
        TRIPTYCH_MODEL_NAME="sentiment",
        TRIPTYCH_MODEL_THREADS="1",
        TRIPTYCH_MODEL_DEVICE="cpu",
        TRIPTYCH_MODEL_DETECTOR="off",  # its checksum would be part of the model's
    )
    here.run("produce", str(FOLDER / "film.mkv"), "--start-at", START).succeeded()
    here.run("work", "--until-end").succeeded()
    results = sorted(by_id(here.in_topic()).values(), key=lambda result: result.start_ns)

    task = BENCHMARKS["sentiment"].task
    checkpoint = load_checkpoint(Path("sentiment"), weights_folder=tmp_path)
    subject = evaluated_model(checkpoint, task, torch.device("cpu"))
    config = AlignConfig(size_ns=task.window_ns, hop_ns=task.window_ns)
    prepared = prepared_windows(clip_records(FOLDER / "film.mkv", START_NS), config, task.spec)
    logits = subject.predict([own.window for own in prepared]).astype(np.float64)
    truths = [json.loads(line)["target"][0] for line in (FOLDER / "film.jsonl").read_text().splitlines()]

    assert len(results) == len(logits) == len(truths)
    assert {result.model.sha256 for result in results} == {checkpoint.card.sha256()}
    for result, scores, sure in zip(results, softmax(logits), softmax(logits, subject.temperature), strict=True):
        said = {each.label: (each.score, each.confidence) for each in result.predictions["target"]}
        expected = zip(task.labels, scores, sure, strict=True)
        assert said == {label: pytest.approx((score, each), abs=1e-3) for label, score, each in expected}
    assert [result.predictions["target"][0].label for result in results] == truths
