"""The records that `triptych produce` sends for a file. Labelled windows are made from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triptych.schemas.records import InputRecord


def clip_records(file: Path, start_at_ns: int, *, quality: int = 85) -> Iterator[InputRecord]:
    """Yield the records that a producer sends for a file.

    Args:
        file: media file.
        start_at_ns: event time of its start.
        quality: quality of the JPEG frames, 1 to 100.

    Raises:
        UsageError: it cannot be played.
    """
    from triptych.producers.session.playback import Playback  # noqa: PLC0415
    from triptych.producers.sources.playback_plan import PlaybackPlan  # noqa: PLC0415 - media libraries are heavy
    from triptych.producers.sources.source import FileSource  # noqa: PLC0415

    with Playback(PlaybackPlan(source=FileSource(file), stream="clip", quality=quality)) as playback:
        yield from playback.records(start_at_ns)
        yield from playback.ends()
