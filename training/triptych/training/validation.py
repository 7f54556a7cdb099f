"""How good a network is on examples that it does not learn from: fused, and from each modality alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from triptych.models.checkpoints.card import Architecture
from triptych.models.network.fused import FusedModel
from triptych.training.batches import LabelledBatch
from triptych.training.data.example import Kind

_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Validation:
    """Hold what was measured.

    Attributes:
        loss: of the fused answer, without smoothing or weights.
        score: accuracy, micro-F1 or negative mean absolute error, by the kind: more is better.
        alone: the same of each modality's own answer, by modality.
        logits: the fused answers, for calibration.
        target: what was true.
    """

    loss: float
    score: float
    alone: dict[str, float]
    logits: Tensor
    target: Tensor


@torch.no_grad()
def validate(model: FusedModel, architecture: Architecture, batches: Iterable[LabelledBatch]) -> Validation:
    """Run a network over a split; the network is left as it was."""
    was_training = model.training
    model.eval()
    target_head = architecture.targets[0]
    auxiliary = {head.name: head.source for head in architecture.heads if head.role == "auxiliary"}
    said: dict[str, list[Tensor]] = {name: [] for name in (target_head.name, *auxiliary)}
    known: dict[str, list[Tensor]] = {name: [] for name in said}
    for batch in batches:
        encoded = model.encode(batch.windows)
        answers = model.apply_heads(model.features(encoded))
        for name, collected in said.items():
            if name not in answers:
                continue
            rows = encoded[auxiliary[name]].present if name in auxiliary else slice(None)
            collected.append(answers[name][rows].float().cpu())
            known[name].append(batch.target[rows].cpu())
    model.train(was_training)
    kind = _kind(target_head.kind)
    logits, target = torch.cat(said[target_head.name]), torch.cat(known[target_head.name])
    alone = {
        source: score(torch.cat(said[name]), torch.cat(known[name]), kind)
        for name, source in auxiliary.items()
        if said[name]
    }
    return Validation(_loss(logits, target, kind), score(logits, target, kind), alone, logits, target)


def score(answers: Tensor, target: Tensor, kind: Kind) -> float:
    """Return accuracy, micro-F1 at one half, or the negative mean absolute error."""
    if kind == "multiclass":
        return float((answers.argmax(-1) == target).double().mean())
    if kind == "regression":
        return -float((answers - target).abs().double().mean())
    held = answers.sigmoid() >= _HALF
    right = float((held & target.bool()).sum())
    return 2 * right / max(1.0, float(held.sum() + target.sum()))


def _loss(answers: Tensor, target: Tensor, kind: Kind) -> float:
    if kind == "multiclass":
        return float(functional.cross_entropy(answers, target))
    if kind == "regression":
        return float(functional.mse_loss(answers, target))
    return float(functional.binary_cross_entropy_with_logits(answers, target))


def _kind(kind: str) -> Kind:
    if kind == "embedding":
        raise ValueError("expected a head with a target, got an embedding")
    return kind  # type: ignore[return-value]
