"""What is to become small: of the answer, of each modality's own answer, of the parts, and between modalities."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.checkpoints.card import Architecture, HeadCard
from triptych.models.network.fused import FusedModel
from triptych.models.network.heads import RegressionHead
from triptych.models.network.masked_math import mask_modalities
from triptych.models.network.parts import Encoded, Features
from triptych.training.batches import LabelledBatch
from triptych.training.config import LossConfig
from triptych.training.data.example import ABSENT
from triptych.training.distillation import Teacher, distance
from triptych.training.network_design import part_name

_CONTRAST_TEMPERATURE = 0.07


class Objective(nn.Module):
    """Run a network on a labelled batch, modalities taken away at random, and return the loss and its terms.

    A module, so that distributed training can wrap it whole.

    Args:
        model: the network.
        architecture: what its heads mean.
        config: weighs the terms.
        class_weights: [K] of the labels, or None where all weigh the same.
        teacher: a network to learn from.
    """

    class_weights: Tensor | None

    def __init__(
        self,
        model: FusedModel,
        architecture: Architecture,
        config: LossConfig,
        *,
        class_weights: Tensor | None = None,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.teacher = teacher
        self._target = architecture.targets[0]
        self._auxiliary = [head for head in architecture.heads if head.role == "auxiliary"]
        self._config = config
        self.register_buffer("class_weights", class_weights, persistent=False)
        self._heads = {head.name for head in architecture.heads}

    def forward(
        self, batch: LabelledBatch, chance: torch.Generator, *, hold_encoders: bool = False
    ) -> dict[str, Tensor]:
        """Return `loss` and the terms it is made of, each a number; encoders that are held get no gradients."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not hold_encoders):
            tokens = self.model.tokens(batch.windows)
        encoded = self.model.project(tokens)
        whole = Features(encoded, None)
        kept = drop_modalities(encoded, self._config.modality_dropout, chance) if self.training else encoded
        features = self.model.features(kept)
        answers = self.model.apply_heads(whole) | self._fused_answers(features)
        terms = {"target": self._answer_loss(self._target, answers[self._target.name], batch.target)}
        auxiliary = [self._alone(head, encoded, answers, batch.target) for head in self._auxiliary]
        parts = self._parts(answers, batch)
        for name, losses in (("auxiliary", auxiliary), ("parts", parts)):
            present = [loss for loss in losses if loss is not None]
            if present:
                terms[name] = torch.stack(present).sum() / len(losses)
        if self._config.contrast and features.fused is not None and features.fused.shared:
            terms["contrast"] = contrast(features.fused.shared, kept)
        terms |= self._taught(answers[self._target.name], encoded, batch)
        loss = sum((self._weight(name) * term for name, term in terms.items()), torch.zeros(()))
        return {"loss": loss, **{name: term.detach() for name, term in terms.items()}}

    def _weight(self, term: str) -> float:
        config = self._config
        teaching = config.teaching if self.teacher else 0.0
        weights = {"target": 1 - teaching, "teacher": teaching, "auxiliary": config.auxiliary, "parts": config.parts}
        return (weights | {"contrast": config.contrast, "views": config.views})[term]

    def _taught(self, answer: Tensor, encoded: Mapping[str, Encoded], batch: LabelledBatch) -> dict[str, Tensor]:
        """Return how far the answer is from the teacher's, and from the network's own with every modality there."""
        wanted: dict[str, Tensor] = {}
        if self.teacher is not None and batch.for_teacher is not None:
            wanted["teacher"] = self.teacher(batch.for_teacher)
        if self._config.views and self.training:
            with torch.no_grad():
                wanted["views"] = self._fused_answers(self.model.features(encoded))[self._target.name]
        unit = float(self._deviation()) if self._target.kind == "regression" else 1.0
        temperatures = {"teacher": self._config.temperature, "views": 1.0}
        return {
            name: distance(self._target, answer, other, temperature=temperatures[name], unit=unit)
            for name, other in wanted.items()
        }

    def _fused_answers(self, features: Features) -> dict[str, Tensor]:
        return {
            name: head(features)
            for name, head in self.model.heads.items()
            if head.source == "fused" and features.fused is not None
        }

    def _alone(
        self, head: HeadCard, encoded: Mapping[str, Encoded], answers: Mapping[str, Tensor], target: Tensor
    ) -> Tensor | None:
        """Return the loss of one modality's own answer, over the windows that have it."""
        if head.name not in answers:
            return None
        rows = encoded[head.source].present
        return self._answer_loss(head, answers[head.name][rows], target[rows])

    def _parts(self, answers: Mapping[str, Tensor], batch: LabelledBatch) -> list[Tensor | None]:
        losses: list[Tensor | None] = []
        for part, labels in batch.parts.items():
            name = part_name(part)
            if name not in self._heads:
                continue
            known = labels != ABSENT
            there = name in answers and bool(known.any())
            losses.append(functional.cross_entropy(answers[name][known], labels[known]) if there else None)
        return losses

    def _answer_loss(self, head: HeadCard, answer: Tensor, target: Tensor) -> Tensor:
        answer = answer.float()
        if head.kind == "multiclass":
            return functional.cross_entropy(
                answer, target, weight=self.class_weights, label_smoothing=self._config.smoothing
            )
        if head.kind == "multilabel":
            softened = target * (1 - self._config.smoothing) + self._config.smoothing / 2
            return functional.binary_cross_entropy_with_logits(answer, softened, pos_weight=self.class_weights)
        deviation = self._deviation()
        return functional.huber_loss(answer / deviation, target / deviation)

    def _deviation(self) -> Tensor:
        head = self.model.heads[self._target.name]
        if not isinstance(head, RegressionHead):
            raise TypeError(f"{self._target.name}: expected a head that says a number, got {type(head).__name__}")
        return head.deviation


def drop_modalities(
    encoded: Mapping[str, Encoded], probability: float, chance: torch.Generator
) -> Mapping[str, Encoded]:
    """Take each modality away from each row with this probability, but never the last that a row has."""
    names = sorted(encoded)
    if not probability or len(names) < 2:  # noqa: PLR2004 - of one modality, none can be taken away
        return encoded
    present = torch.stack([encoded[name].present for name in names], 1)  # [B, M]
    drawn = torch.rand(present.shape, generator=chance).to(present.device)
    kept = present & (drawn >= probability)
    # Where nothing would be left, the modality stays whose number is the greatest.
    last = functional.one_hot(torch.where(present, drawn, -1.0).argmax(1), len(names)).bool() & present
    kept = torch.where(kept.any(1, keepdim=True), kept, last)
    return mask_modalities(encoded, dict(zip(names, kept.unbind(1), strict=True)))


def contrast(shared: Mapping[str, Tensor], encoded: Mapping[str, Encoded]) -> Tensor:
    """Return how badly the modalities of a window find one another among the windows of the batch (InfoNCE)."""
    losses = []
    for one, other in combinations(sorted(shared), 2):
        both = encoded[one].present & encoded[other].present
        if int(both.sum()) < 2:  # noqa: PLR2004 - one alone finds itself
            continue
        likeness = shared[one][both] @ shared[other][both].T / _CONTRAST_TEMPERATURE
        own = torch.arange(likeness.shape[0], device=likeness.device)
        losses += [functional.cross_entropy(likeness, own), functional.cross_entropy(likeness.T, own)]
    return torch.stack(losses).mean() if losses else next(iter(shared.values())).sum() * 0
