"""The loss terms: fused output, single-modality heads, component heads, distillation, contrast between modalities."""

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
from triptych.training.distillation import Teacher, distillation_loss
from triptych.training.network_design import part_name

_CONTRAST_TEMPERATURE = 0.07


class Objective(nn.Module):
    """Run a network on a labelled batch with modality dropout, and return the loss and its terms.

    It is a module so that distributed training can wrap it.

    Args:
        model: the network.
        architecture: describes the heads.
        config: weights of the terms.
        class_weights: float [K], or None for equal weights.
        teacher: network to distil from.
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

    def forward(self, batch: LabelledBatch, rng: torch.Generator, *, hold_encoders: bool = False) -> dict[str, Tensor]:
        """Return `loss` and its terms, each a scalar. With `hold_encoders`, the encoders get no gradients."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not hold_encoders):
            tokens = self.model.tokens(batch.windows)
        encoded = self.model.project(tokens)
        whole = Features(encoded, None)
        kept = drop_modalities(encoded, self._config.modality_dropout, rng) if self.training else encoded
        features = self.model.features(kept)
        outputs = self.model.apply_heads(whole) | self._fused_outputs(features)
        terms = {"target": self._output_loss(self._target, outputs[self._target.name], batch.target)}
        auxiliary = [self._auxiliary_loss(head, encoded, outputs, batch.target) for head in self._auxiliary]
        parts = self._part_losses(outputs, batch)
        for name, losses in (("auxiliary", auxiliary), ("parts", parts)):
            present = [loss for loss in losses if loss is not None]
            if present:
                terms[name] = torch.stack(present).sum() / len(losses)
        if self._config.contrast and features.fused is not None and features.fused.shared:
            terms["contrast"] = info_nce(features.fused.shared, kept)
        terms |= self._distillation_terms(outputs[self._target.name], encoded, batch)
        loss = sum((self._weight(name) * term for name, term in terms.items()), torch.zeros(()))
        return {"loss": loss, **{name: term.detach() for name, term in terms.items()}}

    def _weight(self, term: str) -> float:
        config = self._config
        teaching = config.teaching if self.teacher else 0.0
        weights = {"target": 1 - teaching, "teacher": teaching, "auxiliary": config.auxiliary, "parts": config.parts}
        return (weights | {"contrast": config.contrast, "views": config.views})[term]

    def _distillation_terms(
        self, output: Tensor, encoded: Mapping[str, Encoded], batch: LabelledBatch
    ) -> dict[str, Tensor]:
        """Return the distance from the teacher's output, and from the network's own output with all modalities."""
        references: dict[str, Tensor] = {}
        if self.teacher is not None and batch.for_teacher is not None:
            references["teacher"] = self.teacher(batch.for_teacher)
        if self._config.views and self.training:
            with torch.no_grad():
                references["views"] = self._fused_outputs(self.model.features(encoded))[self._target.name]
        unit = float(self._deviation()) if self._target.kind == "regression" else 1.0
        temperatures = {"teacher": self._config.temperature, "views": 1.0}
        return {
            name: distillation_loss(self._target, output, other, temperature=temperatures[name], unit=unit)
            for name, other in references.items()
        }

    def _fused_outputs(self, features: Features) -> dict[str, Tensor]:
        return {
            name: head(features)
            for name, head in self.model.heads.items()
            if head.source == "fused" and features.fused is not None
        }

    def _auxiliary_loss(
        self, head: HeadCard, encoded: Mapping[str, Encoded], outputs: Mapping[str, Tensor], target: Tensor
    ) -> Tensor | None:
        """Return the loss of a single-modality head over the windows that have the modality, or None without any."""
        if head.name not in outputs:
            return None
        rows = encoded[head.source].present
        return self._output_loss(head, outputs[head.name][rows], target[rows])

    def _part_losses(self, outputs: Mapping[str, Tensor], batch: LabelledBatch) -> list[Tensor | None]:
        losses: list[Tensor | None] = []
        for part, labels in batch.parts.items():
            name = part_name(part)
            if name not in self._heads:
                continue
            known = labels != ABSENT
            there = name in outputs and bool(known.any())
            losses.append(functional.cross_entropy(outputs[name][known], labels[known]) if there else None)
        return losses

    def _output_loss(self, head: HeadCard, output: Tensor, target: Tensor) -> Tensor:
        output = output.float()
        if head.kind == "multiclass":
            return functional.cross_entropy(
                output, target, weight=self.class_weights, label_smoothing=self._config.smoothing
            )
        if head.kind == "multilabel":
            softened = target * (1 - self._config.smoothing) + self._config.smoothing / 2
            return functional.binary_cross_entropy_with_logits(output, softened, pos_weight=self.class_weights)
        deviation = self._deviation()
        return functional.huber_loss(output / deviation, target / deviation)

    def _deviation(self) -> Tensor:
        head = self.model.heads[self._target.name]
        if not isinstance(head, RegressionHead):
            raise TypeError(f"{self._target.name}: expected a regression head, got {type(head).__name__}")
        return head.deviation


def drop_modalities(encoded: Mapping[str, Encoded], probability: float, rng: torch.Generator) -> Mapping[str, Encoded]:
    """Drop each modality of each row with this probability, but never the last one of a row.

    After ModDrop (Neverova et al., 2016, arXiv 1501.00102).
    """
    names = sorted(encoded)
    if not probability or len(names) < 2:  # noqa: PLR2004 - a single modality is never dropped
        return encoded
    present = torch.stack([encoded[name].present for name in names], 1)  # [B, M]
    drawn = torch.rand(present.shape, generator=rng).to(present.device)
    kept = present & (drawn >= probability)
    # If all would be dropped, the modality with the greatest random number stays.
    last = functional.one_hot(torch.where(present, drawn, -1.0).argmax(1), len(names)).bool() & present
    kept = torch.where(kept.any(1, keepdim=True), kept, last)
    return mask_modalities(encoded, dict(zip(names, kept.unbind(1), strict=True)))


def info_nce(shared: Mapping[str, Tensor], encoded: Mapping[str, Encoded]) -> Tensor:
    """Return the InfoNCE loss between each pair of modalities of a window, over the windows of the batch (a scalar).

    Van den Oord et al., 2018, arXiv 1807.03748, symmetric as in CLIP (Radford et al., 2021, arXiv 2103.00020).

    Args:
        shared: vectors of length 1, float [B, D], by modality.
        encoded: says which rows have each modality.
    """
    losses = []
    for one, other in combinations(sorted(shared), 2):
        both = encoded[one].present & encoded[other].present
        if int(both.sum()) < 2:  # noqa: PLR2004 - a single row has no negatives
            continue
        similarity = shared[one][both] @ shared[other][both].T / _CONTRAST_TEMPERATURE
        positives = torch.arange(similarity.shape[0], device=similarity.device)
        losses += [functional.cross_entropy(similarity, positives), functional.cross_entropy(similarity.T, positives)]
    return torch.stack(losses).mean() if losses else next(iter(shared.values())).sum() * 0
