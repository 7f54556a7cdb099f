"""`triptych compress` writes a smaller model and measures every form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.training.test_trainer import trained
from tests.training.toys import ToyDataset
from triptych.cli import app
from triptych.models.checkpoints.checkpoint import load_checkpoint
from triptych.schemas.errors import UsageError
from triptych.training.compression.measurement import FormMeasurement
from triptych.training.compression.run import _not_worth
from triptych.training.data import catalogue

NOWHERE = Path("nowhere")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained toy model."""
    folder = tmp_path_factory.mktemp("original")
    trained(folder)
    return folder


def run(original: Path, out: Path, *flags: str) -> str:
    """Run the command and return its table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "open_dataset", lambda _name: ToyDataset())
        done = CliRunner().invoke(
            app, ["compress", str(original), "--out", str(out), "--split", "validation", "--examples", "32", *flags]
        )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_a_compressed_model_is_smaller_and_predicts_the_same(tmp_path: Path, original: Path) -> None:
    """Half of the hidden channels are pruned, the rest is int8. The checkpoint is the one that was measured."""
    pytest.importorskip("torchao")
    table = run(original, tmp_path / "small", "--prune", "0.5", "--fine-tune", "8", "--storage", "int8")
    report = json.loads((tmp_path / "small" / "compression.json").read_text())
    forms = report["forms"]
    written = forms[report["written"]]
    small = load_checkpoint(tmp_path / "small", weights_folder=NOWHERE)

    assert report["written"] == "pruned 50%, trained, stored as int8"
    assert (tmp_path / "small" / "model.safetensors").stat().st_size == written["size_bytes"]
    assert written["size_bytes"] < 0.4 * forms["original"]["size_bytes"]
    assert written["parameters"] == sum(one.numel() for one in small.network.model.parameters())
    assert written["agreement"] > 0.9
    assert forms["original"]["agreement"] == 1
    assert forms["original"]["window_ms"] > 0
    assert all(name in table for name in forms)
    assert small.card.sha256() == report["model_sha256"]
    assert (
        small.card.training["compressed_from"]["sha256"]
        == load_checkpoint(original, weights_folder=NOWHERE).card.sha256()
    )


def test_a_graph_is_measured_beside_its_network(tmp_path: Path, original: Path) -> None:
    """It predicts the same. The serving machine makes the graph, so the checkpoint has none."""
    table = run(original, tmp_path / "same", "--prune", "0", "--storage", "fp32", "--compile", "export")
    graph = json.loads((tmp_path / "same" / "compression.json").read_text())["forms"]["as a graph (torch.export)"]
    assert graph["agreement"] == 1
    assert graph["window_ms"] > 0
    assert graph["size_bytes"] > 0
    assert "as a graph (torch.export)" in table
    assert not list((tmp_path / "same").rglob("*.pt2"))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--prune", "1"], "prune: expected at least 0 and less than 1"),
        (["--compile", "all"], "--compile: expected off, export or aot"),
        (["--storage", "int4"], "--storage: expected fp32, fp16, bf16 or int8"),
        (["--split", "night"], "split: expected one of train, validation"),
    ],
)
def test_an_invalid_option_is_rejected(tmp_path: Path, original: Path, flags: list[str], expected: str) -> None:
    """The message says what was expected, and nothing is written."""
    with pytest.raises(UsageError, match=expected):
        run(original, tmp_path / "small", *flags)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_model_does_not_overwrite_another(original: Path) -> None:
    """Not even the original."""
    with pytest.raises(UsageError, match="already holds a model"):
        run(original, original)


def test_forms_without_a_gain_are_reported() -> None:
    """Each form is compared with the one that it derives from."""
    forms = {
        "original": FormMeasurement(100, 100, 0.9, 1.0, 4.0),
        "pruned 50%": FormMeasurement(50, 50, 0.7, 0.8, 2.0),
        "pruned 50%, stored as int8": FormMeasurement(20, 50, 0.7, 0.8, None),
        "computed in int8 (torchao)": FormMeasurement(None, 50, 0.7, 0.8, 30.0),
    }

    assert _not_worth(forms, "pruned 50%") == [
        "pruned 50%: -0.200 in score",
        "computed in int8 (torchao): 15.00 times the time",
    ]
