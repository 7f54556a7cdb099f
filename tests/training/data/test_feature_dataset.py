"""A data set of features, from its pickle to a report. Commands that need media reject it."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.training.test_trainer import NOWHERE
from triptych.cli import app
from triptych.models.build import ModelChoice, build_model
from triptych.models.checkpoints.checkpoint import load_checkpoint
from triptych.models.network.collate import collate, empty_batch
from triptych.models.network.encoders.features import FeatureEncoder
from triptych.schemas.errors import UsageError
from triptych.training.data.catalogue import open_dataset
from triptych.training.data.manifest import Item, Labels, Manifest, write_manifest
from triptych.training.evaluation.perturbation import keep_only, with_noise


def split(videos: str, seed: int) -> dict[str, Any]:
    """One split in MMSA's format. Two of many numbers, one of audio and one of video, add up to the truth."""
    names = [f"{video}$_${clip}" for video in videos for clip in range(24)]
    noise = np.random.default_rng(seed)
    audio, vision = noise.normal(size=(len(names), 60, 5)), noise.normal(size=(len(names), 6, 20))
    shown = noise.uniform(-1.5, 1.5, (2, len(names)))
    audio[:, :, 2] = 1_000 * (shown[0][:, None] + 0.2 * audio[:, :, 2])
    vision[:, :, 7] = 0.01 * (shown[1][:, None] + 0.2 * vision[:, :, 7])
    lengths = noise.integers(20, 61, len(names))
    for row, length in enumerate(lengths):
        audio[row, length:] = 1e6  # what a model must not see
    return {
        "raw_text": np.array(["so it goes"] * len(names), object), "audio": audio, "vision": vision, "id": names,
        "text": noise.normal(size=(len(names), 4, 8)), "audio_lengths": lengths.tolist(),
        "regression_labels": shown.sum(0).astype(np.float32),
    }  # fmt: skip


@pytest.fixture(scope="module")
def mosi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set as `triptych data convert` writes it."""
    folder = tmp_path_factory.mktemp("mosi")
    splits = {"train": split("abcdefgh", 1), "valid": split("ij", 2), "test": split("klm", 3)}
    (folder / "unaligned_50.pkl").write_bytes(pickle.dumps(splits))
    run("data", "convert", "mosi", str(folder / "unaligned_50.pkl"), "--to", str(folder / "mosi"))
    return folder / "mosi"


@pytest.fixture(scope="module")
def model(mosi: Path) -> Path:
    """A model that the command trained on it."""
    out = mosi.parent / "model"
    flags = [
        "--width",
        "32",
        "--steps",
        "60",
        "--batch",
        "32",
        "--evaluate-every",
        "30",
        "--rate",
        "6e-3",
        "--device",
        "cpu",
    ]
    run("train", "--data", str(mosi / "manifest.jsonl"), "--out", str(out), "--fusion", "concat", *flags)
    return out


def run(*arguments: str) -> str:
    """Run a command that must succeed."""
    done = CliRunner().invoke(app, list(arguments))
    if done.exception is not None and not (isinstance(done.exception, SystemExit) and done.exit_code == 0):
        raise done.exception
    return done.output


def test_a_model_of_features_is_trained_and_evaluated(mosi: Path, model: Path, tmp_path: Path) -> None:
    """Error, correlation and accuracies. All modalities together are better than the best single one."""
    run("evaluate", str(model), "--data", str(mosi), "--out", str(tmp_path), "--device", "cpu")
    report = json.loads((tmp_path / "report.json").read_text())
    scores = {"+".join(own["modalities"]): own["scores"] for own in report["by_subset"]}
    fused = scores["video+audio+text"]
    assert set(fused) >= {"mae", "correlation"}
    assert fused["correlation"] > 0.9
    assert max(scores[one]["correlation"] for one in ("video", "audio")) < 0.85
    assert abs(scores["text"]["correlation"]) < 0.4
    assert fused["mae"] < 0.7 * min(scores[one]["mae"] for one in ("video", "audio", "text"))
    card = load_checkpoint(model, weights_folder=NOWHERE).card
    assert {own.modality: (own.steps, own.dims) for own in card.input.features} == {
        "video": (6, 20), "audio": (60, 5), "text": (4, 8),
    }  # fmt: skip


def test_a_model_of_features_is_not_served(model: Path, mosi: Path, tmp_path: Path) -> None:
    """Nor explained on a clip, nor exported. Clips are not accepted as features."""
    with pytest.raises(UsageError, match=r"reads features \(video, audio, text\) .* not served"):
        build_model(ModelChoice(str(model), frames=1, window_ns=1_000_000_000, device="cpu"))
    with pytest.raises(UsageError, match="not served"):
        run("models", "compile", str(model))
    item = Item(id="a", split="train", group="a", clip="a.mkv", label=0)
    write_manifest(Manifest(tmp_path, Labels(name="moods", labels=("bad", "good")), (item,)))
    with pytest.raises(UsageError, match="got clips: make windows with triptych data prepare"):
        open_dataset(str(tmp_path))
    assert open_dataset(str(mosi)).splits == ("train", "validation", "test")


def test_padding_changes_nothing(mosi: Path, model: Path) -> None:
    """Neither steps beyond an item's length, nor other items of the batch, nor dropped modalities."""
    dataset, checkpoint = open_dataset(str(mosi)), load_checkpoint(model, weights_folder=NOWHERE)
    windows = [example.window for example in dataset.examples("test", range(3))]
    windows.append(keep_only(windows[0], {"audio"}))
    network, spec = checkpoint.network.model.eval(), dataset.task.spec
    together = network(collate(windows, empty_batch(6, 1, spec)))["target"]
    for row, window in enumerate(windows):
        alone = network(collate([window], empty_batch(1, 1, spec)))["target"]
        torch.testing.assert_close(together[row], alone[0], rtol=1e-4, atol=1e-4)
    assert set(windows[3].features) == {"audio"}
    assert len(windows[0].features["audio"]) < 60
    assert abs(float(together[3].detach()) - float(together[0].detach())) > 1e-3


def test_many_steps_are_averaged_to_few_tokens(mosi: Path) -> None:
    """Sixty become thirty. The order of two neighbours does not matter, and the time is that of the first."""
    dataset = open_dataset(str(mosi))
    window = dataset.examples("test", [0])[0].window
    own = window.features["audio"][:8]
    swapped = own[[1, 0, 3, 2, 5, 4, 7, 6]]
    windows = [replace(window, features={"audio": features}) for features in (own, swapped, own[::-1])]
    encoder = FeatureEncoder("audio", steps=60, dims=5).eval()
    encoded = encoder(collate(windows, empty_batch(3, 1, dataset.task.spec)))
    assert encoded.mask.sum(1).tolist() == [4, 4, 4]
    assert encoded.times is not None
    assert encoded.times[0, :3].tolist() == pytest.approx([0, 2 / 60, 4 / 60])
    torch.testing.assert_close(encoded.tokens[0], encoded.tokens[1])
    assert not torch.allclose(encoded.tokens[0], encoded.tokens[2], atol=1e-3)


def test_noise_changes_features(mosi: Path) -> None:
    """Only those of one modality, and more with a higher level."""
    (example,) = open_dataset(str(mosi)).examples("test", [0])
    before = example.window.features
    after = with_noise(example.window, "video", 0.8, Random(0)).features
    assert np.array_equal(after["audio"], before["audio"])
    assert np.corrcoef(after["video"].ravel(), before["video"].ravel())[0, 1] < 0.6
