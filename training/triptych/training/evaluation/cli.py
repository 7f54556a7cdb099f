"""The command `triptych evaluate`. Imports torch and the data sets only when it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from triptych.service.cli_from_config import command_from


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """What `triptych evaluate` takes.

    Attributes:
        checkpoint: folder or file of a trained model.
        data: name of a benchmark, or folder of a data set.
        split: split to evaluate on.
        out: folder of the report; None for one beside the checkpoint.
        examples: maximum number of examples.
        aside: maximum number of examples in each test of noise, shuffling and further splits.
        seed: seed of noise, shuffling and a benchmark's examples.
        device: device that runs the model.
    """

    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Folder or file of a trained model.")]
    data: Annotated[
        str,
        typer.Option(metavar="NAME|FOLDER", help="Data set to evaluate on; triptych data list shows the benchmarks."),
    ]
    split: Annotated[str, typer.Option(help="Split to evaluate on.")] = "test"
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder of the report. Default: beside the checkpoint.")
    ] = None
    examples: Annotated[int, typer.Option(min=1, help="Maximum number of examples.")] = 2_000
    aside: Annotated[
        int, typer.Option(min=1, help="Maximum number of examples in each test of noise, shuffling and further splits.")
    ] = 512
    seed: Annotated[int, typer.Option(help="Seed of noise, shuffling and a benchmark's examples.")] = 0
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto"

    def report_folder(self, task_name: str) -> Path:
        """Return the folder of the report for a task of this name."""
        beside = self.checkpoint if self.checkpoint.is_dir() else self.checkpoint.parent
        return self.out or beside / f"report-{task_name}-{self.split}"


@command_from(EvaluationOptions)
def evaluate(options: EvaluationOptions) -> None:
    """Evaluate a trained model: all subsets of modalities, calibration, noise and leaks; writes a report.

    The report is report.md and report.json. The exit code is 1 if a leak test fails: the model then uses information
    that its inputs should not contain.
    """
    import time

    from rich.console import Console
    from rich.progress import track

    from triptych.models.checkpoints.checkpoint import load_checkpoint
    from triptych.models.execution.device import choose_device
    from triptych.models.pretrained.download.cache import cache_folder
    from triptych.training.data.benchmarks.tasks import RULES
    from triptych.training.data.catalogue import open_dataset
    from triptych.training.evaluation import suite
    from triptych.training.evaluation.evaluated_model import evaluated_model
    from triptych.training.evaluation.report import summary, write_report

    console = Console(stderr=True)
    loaded = load_checkpoint(options.checkpoint, weights_folder=cache_folder())
    dataset = open_dataset(options.data, seed=options.seed)
    model = evaluated_model(loaded, dataset.task, choose_device(options.device))
    started_s = time.monotonic()
    size = suite.EvaluationSize(options.examples, options.aside, options.seed)
    evaluation = suite.evaluate(
        dataset, model, split=options.split, size=size, rules=RULES.get(options.data),
        track=lambda items, heading: track(items, heading, console=console, disable=not console.is_terminal),
    )  # fmt: skip
    about = {
        "model": f"{loaded.card.name} {loaded.card.version}, sha256 {loaded.card.sha256()}",
        "fusion": loaded.card.architecture.fusion.name,
        "data": f"{options.data}, seed {options.seed}",
        "took": f"{time.monotonic() - started_s:.0f} s",
    }
    page = write_report(evaluation, options.report_folder(dataset.task.name), about=about)
    for line in (*summary(evaluation), str(page)):
        console.print(line, highlight=False, soft_wrap=True)
    if evaluation.leaks or not all(test.passed for test in evaluation.shuffled):
        raise typer.Exit(1)
