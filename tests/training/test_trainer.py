"""Training converges, is reproducible, resumes after an interruption, and stops early (`run`, `trainer`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.toys import QUICK, WINDOW_NS, ToyDataset, quick
from triptych.models.build import ModelChoice, build_model
from triptych.models.checkpoints.checkpoint import load_checkpoint
from triptych.models.network.encoders.hashed_words import hash_words
from triptych.schemas.errors import UsageError
from triptych.training.batches import ExampleSource
from triptych.training.callbacks import ValidationRecord
from triptych.training.config import LossConfig, NetworkConfig, TrainConfig
from triptych.training.data.augmentation.config import parse_augmentation
from triptych.training.data.example import Kind
from triptych.training.run import TrainingPlan, TrainingSummary, train
from triptych.training.trainer import STATE_FILE
from triptych.training.validation import validate

NOWHERE = Path("nowhere")
CPU = torch.device("cpu")


class RecordingCallback:
    """Records the progress, and may interrupt the run."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.steps: list[int] = []
        self.looks: list[ValidationRecord] = []
        self._interrupt_after = interrupt_after

    def on_step(self, step: int, loss: float) -> None:
        """Record the step, and interrupt as Ctrl-C would."""
        assert loss == loss  # noqa: PLR0124 - not NaN
        self.steps.append(step)
        if step == self._interrupt_after:
            raise KeyboardInterrupt

    def on_validation(self, record: ValidationRecord) -> None:
        """Record the result."""
        self.looks.append(record)


def trained(
    folder: Path,
    config: TrainConfig = QUICK,
    *,
    dataset: ToyDataset | None = None,
    notes: RecordingCallback | None = None,
    seeds: int = 1,
    resume: bool = False,
) -> TrainingSummary:
    """Train a toy model."""
    plan = TrainingPlan("toy", folder, seeds, resume, NOWHERE, command="triptych train" + " --resume" * resume)
    notes = notes or RecordingCallback()
    summary = train(dataset or ToyDataset(), config, plan, device=CPU, callback_for_seed=lambda _seed: notes)
    assert summary is not None
    return summary


def weights(folder: Path) -> Mapping[str, torch.Tensor]:
    """Return the trained weights."""
    return load_checkpoint(folder, weights_folder=NOWHERE).network.model.state_dict()


def test_frozen_encoders_do_not_change(tmp_path: Path) -> None:
    """The rest is trained further, and an interruption changes nothing."""
    held = quick(steps=4, evaluate_every=2, hold_encoders_after=2)
    whole = trained(tmp_path / "whole", held)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "held", held, notes=RecordingCallback(interrupt_after=3))
    before = torch.load(tmp_path / "held" / STATE_FILE, weights_only=True)["model"]  # as it was after two steps
    trained(tmp_path / "held", held, resume=True)
    assert_same(tmp_path / "whole", tmp_path / "held")

    assert whole.cards[0].training["best_step"] == 4
    moved = {name for name, own in weights(tmp_path / "held").items() if not torch.equal(own, before[name])}
    assert {name.partition(".")[0] for name in moved} == {"projector", "fusion", "heads"}
    trained(tmp_path / "free", replace(held, hold_encoders_after=0))
    free = weights(tmp_path / "free")
    assert any(not torch.equal(own, before[name]) for name, own in free.items() if name.startswith("encoders."))


def test_fresh_examples_need_a_generated_benchmark(tmp_path: Path) -> None:
    """Other data sets are rejected before training."""
    with pytest.raises(UsageError, match="fresh: expected a generated benchmark"):
        trained(tmp_path / "toy", quick(steps=2, evaluate_every=2, fresh=True))


def test_single_windows_can_be_augmented(tmp_path: Path) -> None:
    """Differently in each step, equally for equal seeds, and never in validation."""
    changed = quick(steps=2, evaluate_every=2, augment=False, changes=("usual", "flip=0.5"))
    trained(tmp_path / "one", changed)
    trained(tmp_path / "other", changed)
    trained(tmp_path / "plain", replace(changed, changes=()))
    assert_same(tmp_path / "one", tmp_path / "other")
    differ = [
        not torch.equal(own, weights(tmp_path / "plain")[name]) for name, own in weights(tmp_path / "one").items()
    ]
    assert any(differ)

    dataset = ToyDataset()
    source = ExampleSource(dataset, dataset.task.spec, None, None, parse_augmentation(["rotate_deg=20"]))
    plain, first, second = (
        source.batch(*one).windows.video for one in (("validation", [0]), ("train", [0], 1), ("train", [0], 2))
    )
    assert torch.equal(plain, ExampleSource(dataset, dataset.task.spec, None).batch("validation", [0]).windows.video)
    assert not torch.equal(first, second)
    assert torch.equal(second, source.batch("train", [0], 2).windows.video)
    with pytest.raises(UsageError, match="expected usual, or NAME=VALUE"):
        trained(tmp_path / "slip", replace(changed, changes=("unusual",)))


def assert_same(one: Path, other: Path) -> None:
    """Compare two checkpoints bit by bit."""
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_trained_model_is_served(tmp_path: Path) -> None:
    """The fused output is right where no single modality can be. The worker's model predicts the same."""
    summary = trained(tmp_path, quick(steps=40))
    card = summary.cards[0]

    assert summary.scores[0] >= 0.95
    assert summary.alone[0] <= 0.8
    assert card.training["steps"] == 40
    assert card.training["config"]["network"]["fusion"] == "attention"
    assert card.training["command"] == "triptych train"
    target = card.architecture.targets[0]
    assert target.prior == pytest.approx((0.25, 0.5, 0.25), abs=0.08)
    model = build_model(ModelChoice(str(tmp_path), frames=1, window_ns=WINDOW_NS, device="cpu"))
    examples = ToyDataset().examples("validation", range(48))
    said = [prediction.predictions for prediction in model.predict([example.window for example in examples])]
    right = sum(
        heads is not None and heads["target"][0].label == target.labels[int(example.target)]
        for heads, example in zip(said, examples, strict=True)
        if not isinstance(example.target, tuple)
    )
    assert right / 48 == pytest.approx(summary.scores[0])


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path: Path) -> None:
    """Bit by bit."""
    for folder, seed in (("one", 1), ("again", 1), ("other", 2)):
        trained(tmp_path / folder, quick(steps=6, evaluate_every=3, seed=seed))

    assert_same(tmp_path / "one", tmp_path / "again")
    assert not torch.equal(
        weights(tmp_path / "one")["heads.target.fc.weight"], weights(tmp_path / "other")["heads.target.fc.weight"]
    )


def test_the_final_validation_uses_the_stored_weights(tmp_path: Path) -> None:
    """The card's loss is that of the file, not that of the float32 weights."""
    notes = RecordingCallback()
    card = trained(tmp_path, quick(steps=20, storage="fp16"), notes=notes).cards[0]
    content = load_file(tmp_path / "model.safetensors")
    assert content["fusion.blocks.0.attention.query.weight"].dtype == torch.float32  # too small to be worth it
    assert content["encoders.text.table.weight"].dtype == torch.float16
    found = validate(
        load_checkpoint(tmp_path, weights_folder=NOWHERE).network.model,
        card.architecture,
        ExampleSource(ToyDataset(), card.input.spec(), hash_words).in_order("validation", 48, 16),
    )
    assert card.metrics["validation"]["loss"] == found.loss
    assert found.loss != min(record.loss for record in notes.looks)


def test_training_can_start_from_another_model(tmp_path: Path) -> None:
    """Even from one with fewer modalities, as far as its weights fit: its encoders are there from the first step."""
    words = quick(steps=30, network=NetworkConfig(width=16, modalities=("text",)))
    first = trained(tmp_path / "first", words).cards[0]
    start = str(tmp_path / "first")
    begun = trained(tmp_path / "begun", quick(steps=1, evaluate_every=1, rate=1e-9, start=start)).cards[0]

    one, other = weights(tmp_path / "first"), weights(tmp_path / "begun")
    assert torch.allclose(one["encoders.text.table.weight"], other["encoders.text.table.weight"], atol=1e-6)
    assert begun.training["start_sha256"] == first.sha256()
    deaf = quick(steps=1, network=NetworkConfig(width=24, fusion="late", modalities=("audio",)), start=start)
    with pytest.raises(UsageError, match="no name and shape match"):
        trained(tmp_path / "deaf", deaf)


def test_an_interrupted_run_resumes(tmp_path: Path) -> None:
    """From the last validation pass; the earlier results are kept."""
    config = quick(steps=12, evaluate_every=4)
    trained(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "broken", config, notes=RecordingCallback(interrupt_after=9))
    assert (tmp_path / "broken" / STATE_FILE).is_file()
    notes = RecordingCallback()
    trained(tmp_path / "broken", config, notes=notes, resume=True)

    assert notes.steps == [9, 10, 11, 12]
    assert_same(tmp_path / "whole", tmp_path / "broken")
    looks = [json.loads(line) for line in (tmp_path / "broken" / "looks.jsonl").read_text().splitlines()]
    assert [record["step"] for record in looks] == [4, 8, 12]
    assert not (tmp_path / "broken" / STATE_FILE).exists()


def test_a_folder_with_a_run_is_not_overwritten(tmp_path: Path) -> None:
    """Nor resumed with another configuration."""
    config = quick(steps=4, evaluate_every=2)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, config, notes=RecordingCallback(interrupt_after=3))

    with pytest.raises(
        UsageError, match="already holds a training run: choose another folder, or continue it with --resume"
    ):
        trained(tmp_path, config)
    with pytest.raises(UsageError, match="the interrupted run had another configuration"):
        trained(tmp_path, replace(config, rate=1e-4), resume=True)


def test_early_stopping_keeps_the_best_weights(tmp_path: Path) -> None:
    """The learning rate makes training diverge, and the weights with the lowest loss are written."""
    notes = RecordingCallback()
    config = quick(steps=400, evaluate_every=5, patience=3, rate=0.5, optimizer="sgd", schedule="cosine")
    card = trained(tmp_path, config, notes=notes).cards[0]

    best = min(notes.looks, key=lambda record: record.loss)
    assert notes.steps[-1] < 400
    assert [record.step for record in notes.looks if record.step > best.step] == [best.step + 5 * n for n in (1, 2, 3)]
    assert card.training["best_step"] == best.step
    assert card.metrics["validation"]["loss"] == pytest.approx(best.loss)


def test_several_seeds_give_mean_and_deviation_and_the_best_is_kept(tmp_path: Path) -> None:
    """Each seed has a folder. Finished seeds are not trained again."""
    config = quick(steps=6, evaluate_every=3)
    summary = trained(tmp_path, config, seeds=2)
    recorded = json.loads((tmp_path / "summary.json").read_text())

    assert recorded["seeds"] == [0, 1]
    assert recorded["mean"] == pytest.approx(sum(summary.scores) / 2)
    assert recorded["deviation"] == pytest.approx(abs(summary.scores[0] - summary.scores[1]) / 2**0.5)
    losses = [card.metrics["validation"]["loss"] for card in summary.cards]
    assert_same(tmp_path, tmp_path / f"seed-{losses.index(min(losses))}")
    notes = RecordingCallback()
    assert trained(tmp_path, config, seeds=2, resume=True, notes=notes).scores == summary.scores
    assert not notes.steps


@pytest.mark.parametrize("kind", ["multilabel", "regression"])
def test_multilabel_and_regression_tasks_are_learned(tmp_path: Path, kind: Kind) -> None:
    """Numbers keep their unit."""
    loss = LossConfig(balanced=kind == "multilabel")
    summary = trained(tmp_path, quick(steps=40, loss=loss), dataset=ToyDataset(kind))

    if kind == "multilabel":
        assert summary.scores[0] >= 0.95
    else:
        assert summary.scores[0] >= -2.0
        head = load_checkpoint(tmp_path, weights_folder=NOWHERE).network.model.heads["target"]
        assert float(head.get_buffer("mean")) == pytest.approx(10, abs=2)
        assert float(head.get_buffer("deviation")) == pytest.approx(7, abs=2)


@pytest.mark.parametrize("fusion", ["late", "concat", "projection", "bottleneck", "graph", "decoder"])
def test_every_fusion_trains(tmp_path: Path, fusion: str) -> None:
    """A few steps with all loss terms."""
    config = quick(
        steps=2,
        evaluate_every=2,
        validation_size=16,
        network=replace(QUICK.network, fusion=fusion),
        loss=LossConfig(contrast=0.1, balanced=True),
    )
    notes = RecordingCallback()
    trained(tmp_path, config, notes=notes)

    terms = {"loss", "target", "auxiliary", "parts"} | ({"contrast"} if fusion == "projection" else set())
    assert set(notes.looks[0].train) == terms


def test_curves_are_drawn_and_written_for_tensorboard(tmp_path: Path) -> None:
    """A PNG file, and event files that TensorBoard can read."""
    notes = RecordingCallback()
    trained(tmp_path, quick(steps=4, evaluate_every=2), notes=notes)

    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss of a step")] == [1, 2, 3, 4]
    scores = [event.value for event in events.Scalars("validation/score")]
    assert scores == pytest.approx([record.score for record in notes.looks])


def test_invalid_configurations_are_rejected(tmp_path: Path) -> None:
    """Before anything is written."""
    with pytest.raises(UsageError, match="toy: expected a split validation with examples, found train"):
        trained(tmp_path, dataset=ToyDataset(splits=("train",)))
    with pytest.raises(UsageError, match="modalities: expected some of video, audio, text, got smell"):
        trained(tmp_path / "b", quick(network=NetworkConfig(modalities=("smell",))))
    with pytest.raises(UsageError, match="steps: expected at least 1, got 0"):
        quick(steps=0)
    with pytest.raises(UsageError, match="modality_dropout: expected at least 0 and less than 1, got 1"):
        quick(loss=LossConfig(modality_dropout=1.0))
