"""The command `triptych space`, which builds the semantic space. Imports torch only when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def space(
    *,
    source: Annotated[Path, typer.Option("--from", metavar="FOLDER", help="Folder of the Tux Paint stamps.")] = Path(
        "/usr/share/tuxpaint/stamps"
    ),
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Output folder of the weights and the report.")],
) -> None:
    """Build the semantic space that comes with the package from the stamps of Tux Paint, and evaluate it.

    On Debian: apt-get install tuxpaint-stamps-default. docs/spaces.md says how good the space is.
    """
    from rich.console import Console
    from rich.progress import track

    from triptych.models.pretrained.download.cache import cache_folder
    from triptych.training.data.clip_records import clip_records
    from triptych.training.semantic_space.build import build_space
    from triptych.training.semantic_space.report import summarise_space

    console = Console(stderr=True)
    built = build_space(
        source, out, weights_folder=cache_folder(), read=clip_records,
        track=lambda items, heading: track(items, heading, console=console, disable=not console.is_terminal),
    )  # fmt: skip
    for line in summarise_space(built.found):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"weights: {built.weights}; plot: {built.plot}", highlight=False, soft_wrap=True)
