"""Settings of `triptych page`."""

from __future__ import annotations

from pathlib import Path

from triptych.settings.section import Section


class PageSettings(Section):
    """What the page searches. Everything else about it is given by flags of `triptych page`."""

    index: Path | None = None
    """Folder of the index that `triptych index` writes on the same machine. The page searches it, and needs the extra
    `index` for that. Without it, the page has no search."""
