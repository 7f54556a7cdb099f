"""The curves of a run: as an image, as TensorBoard event files, and as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from triptych.training.callbacks import ValidationRecord

_INCHES = (9.0, 3.6)
_DPI = 110


class EventFiles:
    """Write TensorBoard event files during a run. `tensorboard --logdir FOLDER` shows them."""

    def __init__(self, folder: Path) -> None:
        self._writer = SummaryWriter(str(folder))

    def on_step(self, step: int, loss: float) -> None:
        """Write the loss of a step."""
        self._writer.add_scalar("train/loss of a step", loss, step)

    def on_validation(self, record: ValidationRecord) -> None:
        """Write the result of a validation pass."""
        numbers = {
            "rate": record.rate,
            "validation/loss": record.loss,
            "validation/score": record.score,
            **{f"validation/score of {name} alone": score for name, score in record.alone.items()},
            **{f"train/{name}": value for name, value in record.train.items()},
        }
        for name, value in numbers.items():
            self._writer.add_scalar(name, value, record.step)
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the files."""
        self._writer.close()


def write_records(records: Sequence[ValidationRecord], path: Path) -> None:
    """Write one JSON line for each validation pass."""
    path.write_text("".join(f"{json.dumps(asdict(record))}\n" for record in records), encoding="utf-8")


def draw_curves(records: Sequence[ValidationRecord], path: Path, *, title: str) -> None:
    """Draw loss and score over the steps: training and validation, fused and by single modality."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - takes a second to import, and is only needed at the end of a run

    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
    losses, scores = figure.subplots(1, 2)
    steps = [record.step for record in records]
    for name in sorted({name for record in records for name in record.train} - {"loss"}):
        losses.plot(
            steps, [record.train.get(name, float("nan")) for record in records], lw=1, label=f"training: {name}"
        )
    losses.plot(steps, [record.loss for record in records], lw=2, color="black", label="validation")
    losses.set(xlabel="step", title="loss")
    for name in sorted({name for record in records for name in record.alone}):
        scores.plot(steps, [record.alone.get(name, float("nan")) for record in records], lw=1, label=f"{name} alone")
    scores.plot(steps, [record.score for record in records], lw=2, color="black", label="fused")
    best = min(records, key=lambda record: record.loss)
    for axes in (losses, scores):
        axes.axvline(best.step, color="grey", ls=":", lw=1)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    scores.set(xlabel="step", title="score on validation examples")
    figure.suptitle(title)
    figure.savefig(path)
