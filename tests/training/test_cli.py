"""The command `triptych train`: its options and its output."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.training.toys import ToyDataset
from triptych.cli import app
from triptych.models.checkpoints.card import read_card
from triptych.schemas.errors import UsageError
from triptych.training.data import catalogue


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make any name open the toy data set."""
    monkeypatch.setattr(catalogue, "open_dataset", lambda _name: ToyDataset())


def train(folder: Path, *flags: str) -> str:
    """Run the command and return its output."""
    quick = ["--steps", "2", "--evaluate-every", "1", "--batch", "8", "--validation-size", "16", "--width", "16"]
    done = CliRunner().invoke(app, ["train", "--data", "toy", "--out", str(folder), "--device", "cpu", *quick, *flags])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stderr


@pytest.mark.usefixtures("toy")
def test_the_flags_reach_the_card(tmp_path: Path) -> None:
    """So that the model can be reproduced."""
    flags = ["--fusion", "bottleneck", "--fusion-option", "bottleneck_tokens=2", "--fusion-option", "blocks=1"]
    flags += ["--modality", "video", "--modality", "text", "--seed", "5", "--name", "moods", "--optimizer", "sgd"]
    said = train(tmp_path, *flags)
    card = read_card(tmp_path / "model.json")

    assert card.name == "moods"
    assert card.architecture.fusion.options == {"bottleneck_tokens": 2, "blocks": 1}
    assert set(card.architecture.encoders) == {"video", "text"}
    assert card.training["config"]["seed"] == 5
    assert card.training["config"]["optimizer"] == "sgd"
    assert "seed 5 step 2: loss" in said
    assert "best single modality" in said
    assert str(tmp_path) in said.replace("\n", "")


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--optimizer", "adam"], "--optimizer: expected adamw or sgd, got 'adam'"),
        (["--schedule", "flat"], "--schedule: expected one-cycle or cosine, got 'flat'"),
        (["--encoder", "video=big"], "--encoder: expected small, frozen, tuned or a foundation model, got 'big'"),
        (["--encoder", "video"], "--encoder: expected NAME=VALUE, got 'video'"),
        (["--encoder", "smell=small"], "modalities: expected some of video, audio, text, got smell"),
        (["--fusion", "sum"], "no fusion is called 'sum'"),
        (["--fusion-option", "depth=2"], "fusion attention cannot be built with"),
        (["--device", "tpu"], "device 'tpu' is unknown"),
    ],
)
def test_an_invalid_option_is_rejected(tmp_path: Path, flags: list[str], expected: str) -> None:
    """The message says what was expected, and nothing is written."""
    with pytest.raises(UsageError, match=expected):
        train(tmp_path, *flags)
    assert not list(tmp_path.rglob("*.safetensors"))
