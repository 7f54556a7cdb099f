"""Learn from what another network says, or from what the same one says when it sees everything.

A teacher's scores tell more than a label: which of the wrong answers is nearly right (Hinton et al., 2015, arXiv
1503.02531). The teacher always sees the whole window, whatever its student may see of it: so a network of three
modalities teaches one that only hears or only reads.
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
from triptych.training.evaluation.subject import subject_of


class Teacher(nn.Module):
    """Answer as a trained network does; nothing is learnt by it.

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
        """Return the answers of windows, as its head gives them: [B, K], or [B] of a regression."""
        answer: Tensor = self.model(batch)[self._head]
        return answer.float()

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002, FBT001, FBT002 - torch's own signature
        """Stay as it answers when it serves, also inside of what is trained."""
        return super().train(mode=False)


def load_teacher(path: Path, task: Task, *, weights_folder: Path) -> Teacher:
    """Read a trained network as a teacher of a task.

    Raises:
        UsageError: it is not there, damaged, or was trained for something else.
    """
    checkpoint = load_checkpoint(path, weights_folder=weights_folder)
    subject_of(checkpoint, task, torch.device("cpu"))
    return Teacher(checkpoint)


def distance(head: HeadCard, said: Tensor, wanted: Tensor, *, temperature: float, unit: float = 1.0) -> Tensor:
    """Return how far answers are from those that are wanted, as a loss whose size is that of the labels' own.

    Args:
        head: what the answers mean.
        said: of the student, [B, K] or [B].
        wanted: of the teacher, likewise.
        temperature: divides the logits of both, so that small scores count; its square makes up for the smaller
            gradients.
        unit: what numbers are divided by, of a regression.
    """
    said, wanted = said.float(), wanted.float()
    if head.kind == "multiclass":
        soft = functional.log_softmax(said / temperature, -1)
        target = functional.log_softmax(wanted / temperature, -1)
        return functional.kl_div(soft, target, reduction="batchmean", log_target=True) * temperature**2
    if head.kind == "multilabel":
        target = (wanted / temperature).sigmoid()
        return functional.binary_cross_entropy_with_logits(said / temperature, target) * temperature**2
    return functional.huber_loss(said / unit, wanted / unit)
