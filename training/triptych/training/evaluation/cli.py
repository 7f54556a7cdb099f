"""The command `triptych evaluate`. Imports what is heavy when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Folder or file of a trained model.")],
    *,
    data: Annotated[str, typer.Option(metavar="NAME|FOLDER", help="What to measure on; see: triptych data list.")],
    split: Annotated[str, typer.Option(help="Which examples.")] = "test",
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the report goes; else beside the checkpoint.")
    ] = None,
    examples: Annotated[int, typer.Option(min=1, help="So many at most.")] = 2_000,
    aside: Annotated[int, typer.Option(min=1, help="So many at most for noise, shuffling and further tests.")] = 512,
    seed: Annotated[int, typer.Option(help="Of noise and shuffling, and of the examples of a benchmark.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, …")] = "auto",
) -> None:
    """Measure a trained model: every subset of modalities, its confidence, noise, leaks; report.md and report.json.

    Exits with an error where a leak test fails: the model then knows what it cannot honestly know.
    """
    import time

    from rich.console import Console
    from rich.progress import track

    from triptych.models.checkpoints.checkpoint import load_checkpoint
    from triptych.models.execution.runtime import choose_device
    from triptych.models.pretrained.download.cache import cache_folder
    from triptych.training.data.benchmarks.tasks import RULES
    from triptych.training.data.catalogue import open_dataset
    from triptych.training.evaluation import suite
    from triptych.training.evaluation.report import summary, write_report
    from triptych.training.evaluation.subject import subject_of

    console = Console(stderr=True)
    loaded = load_checkpoint(checkpoint, weights_folder=cache_folder())
    dataset = open_dataset(data, seed=seed)
    subject = subject_of(loaded, dataset.task, choose_device(device))
    started_s = time.monotonic()
    found = suite.evaluate(
        dataset, subject, split=split, extent=suite.Extent(examples, aside, seed), rules=RULES.get(data),
        track=lambda items, heading: track(items, heading, console=console, disable=not console.is_terminal),
    )  # fmt: skip
    about = {
        "model": f"{loaded.card.name} {loaded.card.version}, sha256 {loaded.card.sha256()}",
        "fusion": loaded.card.architecture.fusion.name,
        "data": f"{data}, seed {seed}",
        "took": f"{time.monotonic() - started_s:.0f} s",
    }
    folder = out or (checkpoint if checkpoint.is_dir() else checkpoint.parent) / f"report-{dataset.task.name}-{split}"
    page = write_report(found, folder, about=about)
    for line in summary(found):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(str(page), highlight=False, soft_wrap=True)
    if found.leaks or not all(own.passed for own in found.shuffled):
        raise typer.Exit(1)
