"""The trained models that come with the package can be had by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.models.build import ModelChoice, build_model, is_path
from triptych.models.checkpoints.card import Card
from triptych.models.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from triptych.models.checkpoints.paths import checkpoint_files
from triptych.models.shipped import measured_accuracy, resolve_checkpoint, shipped_models
from triptych.training.data.benchmarks.benchmark import BENCHMARKS

WINDOW_NS = 2_000_000_000
MOST_BYTES = 4_000_000


def test_those_that_the_documentation_names_are_there() -> None:
    """And no others."""
    assert set(shipped_models()) == {"content", "sentiment", "quorum", "refer"}


@pytest.mark.parametrize("name", sorted(shipped_models()))
def test_a_shipped_model_is_whole_small_and_measured(name: str, weights_folder: Path) -> None:
    """It is served by its name; its card says what made it, what it reached, and what it cannot do."""
    model = build_model(ModelChoice(name, frames=1, window_ns=WINDOW_NS, device="cpu"))
    assert model.info.name == name
    card = load_checkpoint(Path(name), weights_folder=weights_folder).card
    expected = "triptych stamps " if name == "content" else f"triptych train --data {name} "
    assert card.training["command"].startswith(expected)
    assert measured_accuracy(card) > max(_alone(card).values())
    assert card.limits
    assert sum(file.stat().st_size for file in shipped_models()[name].iterdir()) <= MOST_BYTES
    if name in BENCHMARKS:
        assert card.architecture.targets[0].labels == BENCHMARKS[name].task.labels


def _alone(card: Card) -> dict[str, float]:
    """Return how often a single modality is right, by whatever means were tried."""
    if "test" in card.metrics:
        return dict(card.metrics["test"]["alone"])
    return {name: own["accuracy"] for name, own in card.metrics["cross_validation"]["best_single"].items()}


def test_a_folder_of_ones_own_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a command takes a path; a worker takes names first, as it does for `base`."""
    monkeypatch.chdir(tmp_path)
    name = "sentiment"
    assert resolve_checkpoint(Path(name)) == shipped_models()[name]
    own = load_checkpoint(Path(name), weights_folder=tmp_path)
    save_checkpoint(tmp_path / name / "model", own.network.model, own.card.model_copy(update={"version": "mine"}))
    assert resolve_checkpoint(Path(name)) == Path(name)
    assert load_checkpoint(Path(name), weights_folder=tmp_path).card.version == "mine"
    assert not is_path(name)
    assert build_model(ModelChoice(name, frames=1, window_ns=WINDOW_NS, device="cpu")).info.version == own.card.version


def test_a_path_stays_a_path(tmp_path: Path) -> None:
    """What is not there is still asked for where the user said."""
    assert resolve_checkpoint(tmp_path / "moods") == tmp_path / "moods"
    assert checkpoint_files(tmp_path / "moods")[1] == tmp_path / "moods.json"
