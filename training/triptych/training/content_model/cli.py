"""The command `triptych stamps`, which builds the content model. Imports torch only when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def stamps(
    *,
    source: Annotated[Path, typer.Option("--from", metavar="FOLDER", help="Folder of the Tux Paint stamps.")] = Path(
        "/usr/share/tuxpaint/stamps"
    ),
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Output folder of the model and its report.")],
) -> None:
    """Build the model `content` that comes with the package from the stamps of Tux Paint, and evaluate it.

    On Debian: apt-get install tuxpaint-stamps-default. docs/models.md says what the model is good for.
    """
    from rich.console import Console
    from rich.progress import track

    from triptych.models.pretrained.download.cache import cache_folder
    from triptych.training.content_model.build import build_content_model
    from triptych.training.content_model.report import summary
    from triptych.training.data.clip_records import clip_records

    console = Console(stderr=True)
    made = build_content_model(
        source, out, weights_folder=cache_folder(), read=clip_records,
        command=" ".join(["triptych", *sys.argv[1:]]),
        track=lambda items, heading: track(items, heading, console=console, disable=not console.is_terminal),
    )  # fmt: skip
    for line in summary(made.found):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"model: {out}; report: {made.report}", highlight=False, soft_wrap=True)
