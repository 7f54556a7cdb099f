"""Knowledge distillation from a trained network (Hinton et al., 2015, arXiv 1503.02531).

A teacher's scores carry more than a label: they say which wrong labels are almost right. The teacher always gets the
whole window, whatever the student gets of it. So a network of three modalities can teach one that has only audio.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.checkpoints.card import HeadCard
from triptych.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from triptych.models.model import InputSpec
from triptych.models.network.collate import WindowBatch
from triptych.models.pretrained.tokenizer import Tokenize
from triptych.training.data.example import Task
from triptych.training.evaluation.evaluated_model import evaluated_model


class Teacher(nn.Module):
    """A trained network with frozen weights.

    Args:
        checkpoint: the trained network.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.sha256 = checkpoint.card.sha256()
        self.spec: InputSpec = checkpoint.card.input.spec()
        self.tokenize: Tokenize | None = checkpoint.network.tokenize
        self._head = checkpoint.card.architecture.targets[0].name
        self.model = checkpoint.network.model.requires_grad_(requires_grad=False)
        self.eval()

    @torch.no_grad()
    def forward(self, batch: WindowBatch) -> Tensor:
        """Return the target head's output: float32 [B, K], or [B] for a regression."""
        output: Tensor = self.model(batch)[self._head]
        return output.float()

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, FBT001, FBT002 - torch's own signature
        """Stay in evaluation mode, also inside a module that is being trained."""
        return super().train(mode=False)


def load_teacher(path: Path, task: Task, *, weights_folder: Path) -> Teacher:
    """Load a checkpoint as the teacher of a task.

    Raises:
        UsageError: it is missing, damaged, or was trained for another task.
    """
    checkpoint = load_checkpoint(path, weights_folder=weights_folder)
    evaluated_model(checkpoint, task, torch.device("cpu"))
    return Teacher(checkpoint)


def distillation_loss(
    head: HeadCard, student: Tensor, teacher: Tensor, *, temperature: float, unit: float = 1.0
) -> Tensor:
    """Return the distance of the student's output from the teacher's, on the scale of the label loss (a scalar).

    Args:
        head: describes the outputs.
        student: float [B, K], or [B] for a regression.
        teacher: of the same shape.
        temperature: divides the logits of both. The loss is multiplied by its square, which compensates for the smaller
            gradients (Hinton et al., 2015, section 2).
        unit: divides the numbers of a regression.
    """
    student, teacher = student.float(), teacher.float()
    if head.kind == "multiclass":
        soft = functional.log_softmax(student / temperature, -1)
        target = functional.log_softmax(teacher / temperature, -1)
        return functional.kl_div(soft, target, reduction="batchmean", log_target=True) * temperature**2
    if head.kind == "multilabel":
        target = (teacher / temperature).sigmoid()
        return functional.binary_cross_entropy_with_logits(student / temperature, target) * temperature**2
    return functional.huber_loss(student / unit, teacher / unit)
