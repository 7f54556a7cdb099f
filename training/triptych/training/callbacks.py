"""What a run reports while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ValidationRecord:
    """The result of one validation pass, and the training losses since the pass before.

    The fields are those of a line of `looks.jsonl`.

    Attributes:
        step: number of finished steps.
        seconds: duration of the run, including the time before a resumption.
        rate: learning rate.
        train: mean training loss and its terms, by name.
        loss: validation loss.
        score: validation score, see `Validation`.
        alone: scores of the single-modality heads, by modality.
        is_best: whether the loss is the lowest so far.
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
    """Gets the progress of a run. Only the first process calls it."""

    def on_step(self, step: int, loss: float) -> None:
        """Handle the end of a step: the number of finished steps and its loss."""

    def on_validation(self, record: ValidationRecord) -> None:
        """Handle the result of a validation pass."""
