"""The command `triptych explain`: a page that shows why a trained model makes its predictions for a clip.

The command is above the programs in the dependency order, because it reads the clip like a producer and cuts it into
windows like a worker.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

_BEGIN_WINDOWS: Final = 1_000_000
"""The clip starts this many windows after the epoch, so that no event time is negative."""


def explain(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", help="Media file, read like triptych produce does.")],
    *,
    model: Annotated[Path, typer.Option(metavar="CHECKPOINT", help="Name, folder or file of a trained model.")],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Output folder for explanation.png and explanation.html.")
    ],
    closer: Annotated[
        int, typer.Option(min=0, max=8, help="Number of windows to explain down to pixels, frequencies and words.")
    ] = 3,
    windows: Annotated[int, typer.Option(min=1, help="Maximum number of windows of the clip.")] = 60,
) -> None:
    """Draw why a model makes its predictions for a clip: shares of modalities, time slices, pixels, audio and words."""
    from itertools import islice

    from rich.console import Console
    from rich.progress import Progress

    from triptych.explaining.page import Page, write_page
    from triptych.explaining.windows import explain_windows
    from triptych.models.checkpoints.card import require_media_input
    from triptych.models.checkpoints.checkpoint import load_checkpoint
    from triptych.models.pretrained.download.cache import cache_folder
    from triptych.schemas.errors import UsageError
    from triptych.training.data.clip_records import clip_records
    from triptych.training.data.window_preparation import prepared_windows
    from triptych.worker.alignment.config import AlignConfig

    console = Console(stderr=True)
    checkpoint = load_checkpoint(model, weights_folder=cache_folder())
    require_media_input(checkpoint.card)
    card = checkpoint.card
    config = AlignConfig(size_ns=card.input.window_ns, hop_ns=card.input.window_ns)
    begin_ns = _BEGIN_WINDOWS * card.input.window_ns
    prepared = prepared_windows(clip_records(clip, begin_ns), config, card.input.spec())
    found = list(islice((own.window for own in prepared if not own.window.is_empty), windows))
    if not found:
        raise UsageError(f"{clip}: expected video, audio or subtitles, found none")
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("explaining", total=len(found))
        explained = explain_windows(
            checkpoint, found, detailed_count=closer, track=lambda done: progress.update(bar, completed=done)
        )
    page = Page(clip.name, f"{card.name} {card.version}", card.sha256(), begin_ns, tuple(explained))
    for file in write_page(page, out):
        console.print(str(file), highlight=False, soft_wrap=True)
