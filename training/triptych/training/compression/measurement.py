"""Size, speed and score of the forms of a compressed network, compared with the original."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.models.network.collate import WindowBatch
from triptych.training.batches import LabelledBatch
from triptych.training.data.example import Kind
from triptych.training.validation import score

_ROUNDS = 5
_HALF = 0.5

Forward = Callable[[WindowBatch], Tensor]
"""Returns the target head's output for a batch: float [B, K], or [B] for a regression."""


@dataclass(frozen=True, slots=True)
class FormMeasurement:
    """Measurements of one form of a network.

    Attributes:
        size_bytes: size of its weights file; None for a form that is derived when the model is loaded.
        parameters: number of parameters.
        score: score as in `Validation`.
        agreement: share of windows with the same prediction as the original; the correlation for a regression.
        window_ms: CPU time of a window in milliseconds; None if the form computes as the form that it is stored from.
    """

    size_bytes: int | None
    parameters: int
    score: float
    agreement: float
    window_ms: float | None


@torch.inference_mode()
def predict_all(forward: Forward, batches: Sequence[LabelledBatch]) -> Tensor:
    """Return the outputs for all windows: float32 [N, K], or [N]."""
    return torch.cat([forward(batch.windows).float() for batch in batches])


def score_of(outputs: Tensor, batches: Sequence[LabelledBatch], kind: Kind) -> float:
    """Return the score of outputs [N, K] or [N] on the batches' targets."""
    return score(outputs, torch.cat([batch.target for batch in batches]), kind)


def agreement(outputs: Tensor, original: Tensor, kind: Kind) -> float:
    """Return the agreement of two networks' outputs, see `FormMeasurement`."""
    if kind == "multiclass":
        return float((outputs.argmax(-1) == original.argmax(-1)).double().mean())
    if kind == "multilabel":
        return float(((outputs.sigmoid() >= _HALF) == (original.sigmoid() >= _HALF)).double().mean())
    return float(torch.corrcoef(torch.stack([outputs, original]).double())[0, 1])


@torch.inference_mode()
def window_ms(forms: Mapping[str, Forward], batch: WindowBatch, windows: int) -> dict[str, float]:
    """Return the CPU time of a window by form in milliseconds: the minimum of several rounds, in which forms alternate.

    It is CPU time, because other processes may use the machine.
    """
    best = dict.fromkeys(forms, float("inf"))
    for turn in range(_ROUNDS + 1):
        for name, forward in forms.items():
            began = time.process_time()
            forward(batch)
            if turn:  # the first round warms up
                best[name] = min(best[name], (time.process_time() - began) * 1e3 / windows)
    return best
