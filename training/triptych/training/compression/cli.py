"""The command `triptych compress`. Imports what is heavy when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.schemas.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from triptych.training.compression.run import CompressionReport

_BYTES_IN_MB = 1e6
_WIDTH = 120


def compress(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Folder or file of a trained model.")],
    *,
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the smaller model goes.")],
    data: Annotated[
        str | None, typer.Option(metavar="NAME|FOLDER", help="What to train and measure on; else what it learnt from.")
    ] = None,
    prune: Annotated[
        float, typer.Option(metavar="SHARE", help="Of the numbers between layers to take away; 0 takes none.")
    ] = 0.3,
    fine_tune: Annotated[
        int, typer.Option(min=0, metavar="STEPS", help="Of training after pruning, the original being the teacher.")
    ] = 100,
    storage: Annotated[str, typer.Option(help="fp32, fp16, bf16 or int8: what the file holds.")] = "fp16",
    split: Annotated[str, typer.Option(help="Which examples are measured on.")] = "test",
    examples: Annotated[int, typer.Option(min=1, help="So many at most.")] = 512,
    compile_: Annotated[
        str, typer.Option("--compile", help="off, export or aot: measure it as a graph too, and compiled (minutes).")
    ] = "off",
) -> None:
    """Make a trained model smaller, and print size, accuracy, agreement and speed before and after.

    Runs on the CPU. `triptych work --model FOLDER` serves what comes out.
    """
    from rich.console import Console

    from triptych.models.checkpoints.card import read_card
    from triptych.models.checkpoints.paths import checkpoint_files
    from triptych.models.pretrained.download.cache import cache_folder
    from triptych.models.shipped import resolve_checkpoint
    from triptych.training.compression.run import CompressionOptions
    from triptych.training.compression.run import compress as run
    from triptych.training.data.catalogue import open_dataset
    from triptych.training.progress_bar import ProgressBar

    wishes = CompressionOptions(prune, fine_tune, storage, split, examples, compile_)  # type: ignore[arg-type]  # it checks
    name = data or read_card(checkpoint_files(resolve_checkpoint(checkpoint))[1]).training.get("data")
    if not isinstance(name, str):
        raise UsageError("the card does not say what the model was trained on; give --data")
    console = Console(stderr=True)
    with ProgressBar(console, fine_tune) as bar:
        report = run(checkpoint, open_dataset(name), wishes, out, weights_folder=cache_folder(), watch=bar.of_seed(0))
    Console(width=None if sys.stdout.isatty() else _WIDTH).print(_table(report))
    for line in report.not_worth:
        console.print(f"did not pay here: {line}", highlight=False, soft_wrap=True)
    console.print(f"model: {out}, {report.written}", highlight=False, soft_wrap=True)


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
