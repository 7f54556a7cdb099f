"""The records that `triptych produce` sends of a file, for whoever makes labelled windows of clips.

Here, above both programs, because neither may know the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triptych.schemas.records import InputRecord


def clip_records(file: Path, start_at_ns: int, *, quality: int = 85) -> Iterator[InputRecord]:
    """Yield the records that a producer sends of a file that begins at this event time, its JPEGs of this quality.

    Raises:
        UsageError: it cannot be played.
    """
    from triptych.producers.session.playback import Playback  # noqa: PLC0415
    from triptych.producers.sources.playback_plan import PlaybackPlan  # noqa: PLC0415 - media libraries are heavy
    from triptych.producers.sources.source import FileSource  # noqa: PLC0415

    with Playback(PlaybackPlan(source=FileSource(file), stream="clip", quality=quality)) as playback:
        yield from playback.records(start_at_ns)
        yield from playback.ends()
