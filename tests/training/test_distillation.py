"""Students learn from teachers with more modalities, and from their own output with all modalities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from tests.training.test_trainer import trained
from tests.training.toys import ToyDataset, quick
from triptych.models.checkpoints.card import HeadCard
from triptych.models.checkpoints.checkpoint import load_checkpoint
from triptych.schemas.errors import UsageError
from triptych.training.batches import ExampleSource
from triptych.training.config import LossConfig, NetworkConfig
from triptych.training.data.example import Example
from triptych.training.distillation import Teacher, distillation_loss, load_teacher
from triptych.training.losses import Objective

NOWHERE = Path("nowhere")
LABELS = HeadCard(name="target", kind="multiclass", labels=("none", "one", "both"))
HOLDING = HeadCard(name="target", kind="multilabel", labels=("bright", "good"))
NUMBER = HeadCard(name="target", kind="regression")


@dataclass(frozen=True)
class MisleadingDataset(ToyDataset):
    """The toy data set with constant training labels: a student can learn only from its teacher."""

    def examples(self, split: str, indices: object) -> list[Example]:
        """Return the examples, those of training with a constant label."""
        true = super().examples(split, indices)  # type: ignore[arg-type]
        return [replace(one, target=0) for one in true] if split == "train" else true


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that reads video and text."""
    folder = tmp_path_factory.mktemp("teacher")
    assert trained(folder).scores[0] == 1
    return folder


def test_a_student_learns_from_its_teacher_alone(tmp_path: Path, teacher: Path) -> None:
    """The labels are false and have no weight."""
    loss = LossConfig(teacher=str(teacher), teaching=1.0, auxiliary=0, parts=0)
    network = NetworkConfig(width=8, modalities=("video", "text"))
    summary = trained(tmp_path, quick(loss=loss, network=network, steps=40), dataset=MisleadingDataset())

    assert summary.scores[0] > 0.9
    assert summary.cards[0].training["teacher_sha256"] == load_checkpoint(teacher, weights_folder=NOWHERE).card.sha256()


def test_a_teacher_may_have_more_modalities_than_its_student(tmp_path: Path, teacher: Path) -> None:
    """A student without text learns the teacher's mean over the words."""
    loss = LossConfig(teacher=str(teacher), teaching=1.0, auxiliary=0, parts=0)
    trained(
        tmp_path, quick(loss=loss, network=NetworkConfig(width=8, modalities=("video",))), dataset=MisleadingDataset()
    )
    student = load_checkpoint(tmp_path, weights_folder=NOWHERE)
    source = ExampleSource(ToyDataset(), student.card.input.spec(), student.network.tokenize)
    batch = source.batch("validation", range(48))
    said = student.network.model.eval()(batch.windows)["target"].softmax(-1)
    bright = batch.windows.video.float().mean((1, 2, 3, 4)) > 120

    assert bool((said[bright, 0] < said[bright, 2]).all())
    assert bool((said[~bright, 0] > said[~bright, 2]).all())


def test_a_teacher_of_another_task_is_rejected(tmp_path: Path, teacher: Path) -> None:
    """Its outputs would mean something else."""
    with pytest.raises(UsageError, match="was not trained for toy"):
        trained(tmp_path, quick(loss=LossConfig(teacher=str(teacher))), dataset=ToyDataset("multilabel"))


def test_a_teacher_does_not_change(teacher: Path) -> None:
    """It is not trained and uses no dropout while its student trains."""
    network = load_teacher(teacher, ToyDataset().task, weights_folder=NOWHERE)
    network.train()

    assert not any(module.training for module in network.modules())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_the_output_with_all_modalities_teaches_that_with_fewer(teacher: Path) -> None:
    """The term is zero if no modality is dropped, and part of the loss otherwise."""
    checkpoint = load_checkpoint(teacher, weights_folder=NOWHERE)
    source = ExampleSource(ToyDataset(), checkpoint.card.input.spec(), checkpoint.network.tokenize)
    batch, rng = source.batch("train", range(16)), torch.Generator().manual_seed(0)
    architecture = checkpoint.card.architecture
    terms = {}
    for dropout in (0.0, 0.9):
        config = LossConfig(views=1.0, modality_dropout=dropout)
        objective = Objective(checkpoint.network.model, architecture, config)
        checkpoint.network.model.eval()  # without the dropout of numbers, which makes two views of any
        objective.training = True
        terms[dropout] = {name: term.detach() for name, term in objective(batch, rng).items()}

    assert float(terms[0.0]["views"]) == pytest.approx(0, abs=1e-6)
    assert float(terms[0.9]["views"]) > 0.1
    assert float(terms[0.9]["loss"]) > float(terms[0.9]["views"])


@pytest.mark.parametrize("head", [LABELS, HOLDING, NUMBER])
def test_the_distillation_loss_is_minimal_for_equal_outputs(head: HeadCard) -> None:
    """Its gradient vanishes there and nowhere else."""
    wanted = torch.tensor([[2.0, -1.0, 0.5]] * 2) if head is not NUMBER else torch.tensor([2.0, -1.0])
    gradients = []
    for offset in (0.0, 1.0):
        said = (wanted + offset * torch.arange(wanted.shape[-1])).requires_grad_()
        distillation_loss(head, said, wanted, temperature=2.0).backward()
        assert said.grad is not None
        gradients.append(float(said.grad.abs().max()))

    assert gradients[0] == pytest.approx(0, abs=1e-6)
    assert gradients[1] > 0.01


def test_a_teacher_uses_its_own_tokenizer(teacher: Path) -> None:
    """Also if the student reads no text."""
    network: Teacher = load_teacher(teacher, ToyDataset().task, weights_folder=NOWHERE)
    source = ExampleSource(ToyDataset(), ToyDataset().task.spec, None, network)
    batch = source.batch("train", range(4))

    assert not bool(batch.windows.text_mask.any())
    assert batch.for_teacher is not None
    assert bool(batch.for_teacher.text_mask.any(1).all())
    assert source.batch("validation", range(4)).for_teacher is None
