"""`triptych stamps`: make the model of content. Here, above the programs, for the reason that `data.py` gives."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def stamps(
    *,
    source: Annotated[Path, typer.Option("--from", metavar="FOLDER", help="Where the stamps of Tux Paint lie.")] = Path(
        "/usr/share/tuxpaint/stamps"
    ),
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the model and its report go.")],
) -> None:
    """Make the model that comes with the package as `content`, of the stamps of Tux Paint, and measure it.

    On Debian: apt-get install tuxpaint-stamps-default. What the model is and is not good for: docs/content-model.md.
    """
    from rich.console import Console
    from rich.progress import track

    from triptych.models.pretrained.download.cache import cache_folder
    from triptych.training.content_model.make import make_content_model
    from triptych.training.content_model.report import summary
    from triptych.training.data.clip_records import clip_records

    console = Console(stderr=True)
    made = make_content_model(
        source, out, weights_folder=cache_folder(), read=clip_records,
        command=" ".join(["triptych", *sys.argv[1:]]),
        track=lambda items, heading: track(items, heading, console=console, disable=not console.is_terminal),
    )  # fmt: skip
    for line in summary(made.found):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"model: {out}; report: {made.report}", highlight=False, soft_wrap=True)
