"""Validation: loss and score of a network on examples that it is not trained on, fused and by single modality."""

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
    """The result of a validation pass.

    Attributes:
        loss: loss of the fused output, without label smoothing or class weights.
        score: accuracy, micro-F1 or negative mean absolute error, by the kind of task. Greater is better.
        alone: the same score of each single-modality head, by modality.
        logits: fused outputs for calibration, float32 [N, K], or [N] for a regression.
        target: int64 [N] labels, float32 [N, K] flags, or float32 [N] numbers.
    """

    loss: float
    score: float
    alone: dict[str, float]
    logits: Tensor
    target: Tensor


@torch.no_grad()
def validate(model: FusedModel, architecture: Architecture, batches: Iterable[LabelledBatch]) -> Validation:
    """Run a network over a split in evaluation mode. The network returns to its previous mode."""
    was_training = model.training
    model.eval()
    target_head = architecture.targets[0]
    auxiliary = {head.name: head.source for head in architecture.heads if head.role == "auxiliary"}
    outputs: dict[str, list[Tensor]] = {name: [] for name in (target_head.name, *auxiliary)}
    targets: dict[str, list[Tensor]] = {name: [] for name in outputs}
    for batch in batches:
        encoded = model.encode(batch.windows)
        by_head = model.apply_heads(model.features(encoded))
        for name, collected in outputs.items():
            if name not in by_head:
                continue
            rows = encoded[auxiliary[name]].present if name in auxiliary else slice(None)
            collected.append(by_head[name][rows].float().cpu())
            targets[name].append(batch.target[rows].cpu())
    model.train(was_training)
    kind = _kind(target_head.kind)
    logits, target = torch.cat(outputs[target_head.name]), torch.cat(targets[target_head.name])
    alone = {
        source: score(torch.cat(outputs[name]), torch.cat(targets[name]), kind)
        for name, source in auxiliary.items()
        if outputs[name]
    }
    return Validation(_loss(logits, target, kind), score(logits, target, kind), alone, logits, target)


def score(outputs: Tensor, target: Tensor, kind: Kind) -> float:
    """Return accuracy, micro-F1 at a threshold of 0.5, or the negative mean absolute error.

    Args:
        outputs: float [N, K] logits, or [N] numbers for a regression.
        target: int64 [N] labels, float32 [N, K] flags, or float32 [N] numbers.
        kind: kind of task.
    """
    if kind == "multiclass":
        return float((outputs.argmax(-1) == target).double().mean())
    if kind == "regression":
        return -float((outputs - target).abs().double().mean())
    predicted = outputs.sigmoid() >= _HALF
    true_positives = float((predicted & target.bool()).sum())
    return 2 * true_positives / max(1.0, float(predicted.sum() + target.sum()))


def _loss(outputs: Tensor, target: Tensor, kind: Kind) -> float:
    if kind == "multiclass":
        return float(functional.cross_entropy(outputs, target))
    if kind == "regression":
        return float(functional.mse_loss(outputs, target))
    return float(functional.binary_cross_entropy_with_logits(outputs, target))


def _kind(kind: str) -> Kind:
    if kind == "embedding":
        raise ValueError("expected a head with a target, got an embedding")
    return kind  # type: ignore[return-value]
