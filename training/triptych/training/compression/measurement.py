"""What a network costs and how good it is, beside the one that it was made of."""

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
"""Says what the target head says of a batch."""


@dataclass(frozen=True, slots=True)
class FormMeasurement:
    """Hold what was measured of one form of a network.

    Attributes:
        size_bytes: of the file of its weights; None for a form that is made when it is loaded.
        parameters: numbers that were learnt.
        score: as in `Validation`.
        agreement: share of the windows of which it says the same as the original; of a regression the correlation.
        window_ms: CPU time of a window, in milliseconds; None where it computes as the form above it.
    """

    size_bytes: int | None
    parameters: int
    score: float
    agreement: float
    window_ms: float | None


@torch.inference_mode()
def predict_all(forward: Forward, batches: Sequence[LabelledBatch]) -> Tensor:
    """Return what is said of all windows, [N, …]."""
    return torch.cat([forward(batch.windows).float() for batch in batches])


def score_of(outputs: Tensor, batches: Sequence[LabelledBatch], kind: Kind) -> float:
    """Return how good answers are."""
    return score(outputs, torch.cat([batch.target for batch in batches]), kind)


def agreement(outputs: Tensor, original: Tensor, kind: Kind) -> float:
    """Return how much two networks say the same; see `FormMeasurement`."""
    if kind == "multiclass":
        return float((outputs.argmax(-1) == original.argmax(-1)).double().mean())
    if kind == "multilabel":
        return float(((outputs.sigmoid() >= _HALF) == (original.sigmoid() >= _HALF)).double().mean())
    return float(torch.corrcoef(torch.stack([outputs, original]).double())[0, 1])


@torch.inference_mode()
def window_ms(forms: Mapping[str, Forward], batch: WindowBatch, windows: int) -> dict[str, float]:
    """Return the CPU time of a window by form, the least of some rounds; all take turns, so that none has a quiet hour.

    CPU time, not that of the clock: others may be using the machine.
    """
    best = dict.fromkeys(forms, float("inf"))
    for turn in range(_ROUNDS + 1):
        for name, forward in forms.items():
            began = time.process_time()
            forward(batch)
            if turn:  # the first warms
                best[name] = min(best[name], (time.process_time() - began) * 1e3 / windows)
    return best
