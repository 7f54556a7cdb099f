"""Calibration by temperature scaling (Guo et al., 2017, arXiv 1706.04599): one temperature for all logits of a head."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from triptych.training.data.example import Kind

_COLDEST, _HOTTEST = 0.05, 20.0
_GOLDEN = (5**0.5 - 1) / 2
_ROUNDS = 40


def fit_temperature(logits: Tensor, target: Tensor, kind: Kind) -> float:
    """Return the temperature that minimises the negative log-likelihood; 1 for a regression or without examples.

    The loss is unimodal in the logarithm of the temperature, so a golden-section search finds the minimum.

    Args:
        logits: float [N, K], on examples that the network was not trained on.
        target: int64 [N] labels, or float [N, K] flags.
        kind: kind of task.
    """
    if kind == "regression" or not len(target):
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = logits.double() / torch.tensor(log_temperature).exp()
        if kind == "multiclass":
            return float(functional.cross_entropy(scaled, target))
        return float(functional.binary_cross_entropy_with_logits(scaled, target.double()))

    low, high = float(torch.tensor(_COLDEST).log()), float(torch.tensor(_HOTTEST).log())
    for _ in range(_ROUNDS):
        near, far = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if loss(near) < loss(far):
            high = far
        else:
            low = near
    return round(float(torch.tensor((low + high) / 2).exp()), 4)
