"""The trained models that are part of the package."""

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


def test_the_package_contains_the_documented_models() -> None:
    """The package contains exactly the documented models."""
    assert set(shipped_models()) == {"content", "sentiment", "quorum", "refer"}


@pytest.mark.parametrize("name", sorted(shipped_models()))
def test_a_shipped_model_is_complete_small_and_measured(name: str, weights_folder: Path) -> None:
    """It is served by its name, and its card states training, results and limits."""
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
    """Return the accuracy of a single modality by any method that was tried."""
    if "test" in card.metrics:
        return dict(card.metrics["test"]["alone"])
    return {name: own["accuracy"] for name, own in card.metrics["cross_validation"]["best_single"].items()}


def test_an_existing_folder_takes_precedence_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that take a path prefer a folder over a shipped model. The worker prefers names, as for `base`."""
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
    """A path that does not exist is not replaced."""
    assert resolve_checkpoint(tmp_path / "moods") == tmp_path / "moods"
    assert checkpoint_files(tmp_path / "moods")[1] == tmp_path / "moods.json"
