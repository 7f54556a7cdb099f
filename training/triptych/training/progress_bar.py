"""Progress of a run on the terminal: a bar, and a line for each validation pass."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from triptych.training.callbacks import ValidationRecord


class ProgressBar:
    """Show the runs of all seeds, one below the other.

    Args:
        console: where to draw.
        steps: steps of each run.
    """

    def __init__(self, console: Console, steps: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, TextColumn("loss {task.fields[loss]:.3f}"), console=console)
        self._steps = steps

    def for_seed(self, seed: int) -> _Bar:
        """Return the callback that draws the bar of a seed."""
        return _Bar(self._progress, seed, self._steps)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()


class _Bar:
    def __init__(self, progress: Progress, seed: int, steps: int) -> None:
        self._progress = progress
        self._steps = steps
        self._description = f"seed {seed}"
        self._task = None if progress.disable else progress.add_task(self._description, total=steps, loss=float("nan"))

    def on_step(self, step: int, loss: float) -> None:
        """Advance the bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=step, loss=loss)

    def on_validation(self, record: ValidationRecord) -> None:
        """Print a line with the fused score and that of the best single modality."""
        modality, alone = max(record.alone.items(), key=lambda item: item[1], default=("", float("nan")))
        single = f", best alone {alone:.3f} ({modality})" if modality else ""
        line = f"{self._description} step {record.step}: loss {record.loss:.4f}, score {record.score:.3f}{single}"
        self._progress.console.print(line + ("  *" if record.is_best else ""), highlight=False)
