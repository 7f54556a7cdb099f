"""`triptych explain`: one page that shows why a trained model says what it says of a clip.

Here, above the programs, because the clip is read as a producer reads it and cut into windows as a worker does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

_BEGIN_WINDOWS: Final = 1_000_000
"""The clip begins so many windows after the epoch: its windows fall on the worker's, and no time is below zero."""


def explain(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="A media file, as triptych produce plays it.")],
    *,
    model: Annotated[Path, typer.Option(metavar="CHECKPOINT", help="Folder or file of a trained model.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where explanation.png and explanation.html go.")],
    closer: Annotated[
        int, typer.Option(min=0, max=8, help="So many windows down to pixels, frequencies and words.")
    ] = 3,
    windows: Annotated[int, typer.Option(min=1, help="So many windows of the clip at most.")] = 60,
) -> None:
    """Draw why a model says what it says of a clip: shares of modalities, moments, pixels, sound and words."""
    from itertools import islice

    from rich.console import Console
    from rich.progress import Progress

    from triptych.explaining.page import Page, write_page
    from triptych.explaining.windows import explain_windows
    from triptych.models.checkpoints.card import refuse_features
    from triptych.models.checkpoints.checkpoint import load_checkpoint
    from triptych.models.pretrained.download.cache import cache_folder
    from triptych.schemas.errors import UsageError
    from triptych.training.data.clip_records import clip_records
    from triptych.training.data.window_preparation import prepared_windows
    from triptych.worker.alignment.config import AlignConfig

    console = Console(stderr=True)
    checkpoint = load_checkpoint(model, weights_folder=cache_folder())
    refuse_features(checkpoint.card)
    card = checkpoint.card
    config = AlignConfig(size_ns=card.input.window_ns, hop_ns=card.input.window_ns)
    begin_ns = _BEGIN_WINDOWS * card.input.window_ns
    prepared = prepared_windows(clip_records(clip, begin_ns), config, card.input.spec())
    found = list(islice((own.window for own in prepared if not own.window.is_empty), windows))
    if not found:
        raise UsageError(f"{clip}: expected pictures, sound or words, found none")
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("explaining", total=len(found))
        explained = explain_windows(
            checkpoint, found, closer=closer, track=lambda done: progress.update(bar, completed=done)
        )
    page = Page(clip.name, f"{card.name} {card.version}", card.sha256(), begin_ns, tuple(explained))
    for file in write_page(page, out):
        console.print(str(file), highlight=False, soft_wrap=True)
