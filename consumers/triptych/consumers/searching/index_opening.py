"""Open an index where its location says: a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triptych.consumers.searching.index_store import IndexStore


def open_index(location: Path | str) -> IndexStore:
    """Open an existing index for reading.

    Raises:
        SearchIndexError: there is none, or one that cannot be used.
    """
    from triptych.consumers.searching.window_index import WindowIndex  # noqa: PLC0415 - an extra

    return WindowIndex.open(Path(location))
