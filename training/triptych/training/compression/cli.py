"""The command `triptych compress`. Imports torch and the data sets only when it runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.schemas.errors import UsageError
from triptych.service.cli_from_config import command_from
from triptych.training.compression.options import CompressionOptions

if TYPE_CHECKING:
    from rich.table import Table

    from triptych.training.compression.run import CompressionReport

_BYTES_IN_MB = 1e6
_WIDTH = 120


@dataclass(frozen=True, slots=True)
class CompressOptions:
    """What `triptych compress` takes.

    Attributes:
        checkpoint: folder or file of a trained model.
        out: output folder.
        data: name of a benchmark, or folder of a data set; None for what the model was trained on.
        compression: how to compress.
    """

    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Folder or file of a trained model.")]
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Output folder of the smaller model.")]
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FOLDER",
            help="Data set to fine-tune and measure on. Default: the one that the model was trained on.",
        ),
    ] = None
    compression: CompressionOptions = field(default_factory=CompressionOptions)


@command_from(CompressOptions)
def compress(options: CompressOptions) -> None:
    """Make a trained model smaller, and print size, score, agreement and speed of each form.

    Runs on the CPU. `triptych work --model FOLDER` serves the result.
    """
    from rich.console import Console

    from triptych.models.pretrained.download.cache import cache_folder
    from triptych.training.compression.run import compress as run
    from triptych.training.data.catalogue import open_dataset
    from triptych.training.progress_bar import ProgressBar

    dataset = open_dataset(options.data or _trained_on(options.checkpoint))
    console = Console(stderr=True)
    with ProgressBar(console, options.compression.steps) as bar:
        report = run(
            options.checkpoint, dataset, options.compression, options.out, weights_folder=cache_folder(),
            callback=bar.for_seed(0),
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(_table(report))
    for line in report.not_worth:
        console.print(f"no gain here: {line}", highlight=False, soft_wrap=True)
    console.print(f"model: {options.out}, {report.written}", highlight=False, soft_wrap=True)


def _trained_on(checkpoint: Path) -> str:
    from triptych.models.checkpoints.card import read_card
    from triptych.models.checkpoints.paths import checkpoint_files
    from triptych.models.shipped import resolve_checkpoint

    name = read_card(checkpoint_files(resolve_checkpoint(checkpoint))[1]).training.get("data")
    if not isinstance(name, str):
        raise UsageError("the card does not name the data set that the model was trained on; give --data")
    return name


def _table(report: CompressionReport) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("form", no_wrap=True)
    for column in ("MB", "parameters", "score", "agreement", "CPU ms/window"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, form in report.forms.items():
        size = "" if form.size_bytes is None else f"{form.size_bytes / _BYTES_IN_MB:.2f}"
        speed = "" if form.window_ms is None else f"{form.window_ms:.2f}"
        table.add_row(name, size, f"{form.parameters:,}", f"{form.score:.4f}", f"{form.agreement:.4f}", speed)
    return table
