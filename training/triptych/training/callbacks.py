"""What a training tells while it runs, to whoever watches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ValidationRecord:
    """Hold one look at the validation split, and the means of training since the one before.

    Attributes:
        step: how many steps were done.
        seconds: since training began, those before a resumption counted.
        rate: the learning rate.
        train: the loss and its terms, by name.
        loss: of validation.
        score: of validation; see `Validation`.
        alone: the scores of single modalities.
        is_best: whether no look before had a smaller loss.
    """

    step: int
    seconds: float
    rate: float
    train: Mapping[str, float]
    loss: float
    score: float
    alone: Mapping[str, float]
    is_best: bool


class TrainingCallback(Protocol):
    """Sees a training run. Called by the first process only."""

    def on_step(self, step: int, loss: float) -> None:
        """See that so many steps are done."""

    def on_validation(self, look: ValidationRecord) -> None:
        """See how good the network is now."""
