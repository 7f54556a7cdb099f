"""The command `triptych train`. Imports torch and the data sets only when it runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.schemas.errors import UsageError
from triptych.service.cli_from_config import command_from
from triptych.service.cli_options import BootstrapServersOption, ConfigOption, PipelineOption
from triptych.training.config import TrainConfig

if TYPE_CHECKING:
    from rich.console import Console

    from triptych.training.run import TrainingSummary


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """What `triptych train` takes.

    Attributes:
        out: output folder.
        data: name of a benchmark, or folder of a data set. Not with `from_feedback`.
        from_feedback: fit the prompts of a pipeline to what people said of their matches, instead of a model to data.
        name: name of the model; None for the data set's name.
        seeds: number of runs, with consecutive seeds.
        resume: continue an interrupted run.
        config: how to train.
        settings_file: settings with the servers of the pipeline, for `from_feedback`, as the next two.
        bootstrap_servers: Kafka.
        pipeline: whose feedback.
    """

    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Output folder for the checkpoint, curves and records.")]
    data: Annotated[
        str | None,
        typer.Option(metavar="NAME|FOLDER", help="Data set to train on; triptych data list shows the benchmarks."),
    ] = None
    from_feedback: Annotated[
        bool,
        typer.Option(
            "--from-feedback",
            help="Fit the prompts of a pipeline to the answers of triptych feedback. Needs no --data.",
        ),
    ] = False
    name: Annotated[str | None, typer.Option(help="Name of the model. Default: the data set's name.")] = None
    seeds: Annotated[
        int, typer.Option(help="Train with this many seeds, report mean and deviation, and keep the best model.")
    ] = 1
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False
    config: TrainConfig = field(default_factory=TrainConfig)
    settings_file: ConfigOption = None
    bootstrap_servers: BootstrapServersOption = None
    pipeline: PipelineOption = None


@command_from(TrainingOptions)
def train(options: TrainingOptions) -> None:
    """Train a model that `triptych work --model FOLDER` serves.

    To train in several processes: torchrun --nproc-per-node 2 -m triptych train …
    """
    if options.from_feedback:
        _train_from_feedback(options)
        return
    if options.data is None:
        raise UsageError("expected --data NAME|FOLDER, or --from-feedback")
    from rich.console import Console

    from triptych.models.execution.device import choose_device
    from triptych.models.pretrained.download.cache import cache_folder
    from triptych.training.data.catalogue import open_dataset
    from triptych.training.progress_bar import ProgressBar
    from triptych.training.run import TrainingPlan
    from triptych.training.run import train as run

    console = Console(stderr=True)
    dataset = open_dataset(options.data)
    plan = TrainingPlan(
        name=options.name or dataset.task.name,
        folder=options.out,
        seeds=options.seeds,
        resume=options.resume,
        weights_folder=cache_folder(),
        command=" ".join(["triptych", *(argument for argument in sys.argv[1:] if argument != "--resume")]),
    )
    device = choose_device(options.config.device)
    with ProgressBar(console, options.config.steps) as bar:
        summary = run(dataset, options.config, plan, device=device, callback_for_seed=bar.for_seed)
    if summary is not None:
        _print_summary(console, summary, options.out)


def _train_from_feedback(options: TrainingOptions) -> None:
    from triptych.settings.loading import load
    from triptych.training.prompts.feedback_run import train_from_feedback

    if options.data is not None:
        raise UsageError("--from-feedback: expected no --data; it learns from the answers of triptych feedback")
    flags = {"kafka.bootstrap_servers": options.bootstrap_servers, "pipeline": options.pipeline}
    for line in train_from_feedback(load(options.settings_file, flags), options.out):
        typer.echo(line)


def _print_summary(console: Console, summary: TrainingSummary, out: Path) -> None:
    from statistics import fmean, stdev

    spread = f" ± {stdev(summary.scores):.4f}" if len(summary.scores) > 1 else ""
    alone = f", best single modality {fmean(summary.alone):.4f}" if summary.alone[0] == summary.alone[0] else ""
    console.print(f"validation score {fmean(summary.scores):.4f}{spread}{alone}", highlight=False)
    console.print(f"model: {out}", highlight=False, soft_wrap=True)
