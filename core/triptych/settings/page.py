"""Settings of `triptych page`."""

from __future__ import annotations

from triptych.settings.section import NotEmpty, Section


class PageSettings(Section):
    """What the page searches. Everything else about it is given by flags of `triptych page`."""

    index: NotEmpty | None = None
    """The index that `triptych index` writes: its folder on the same machine, or `postgresql://USER@HOST/DATABASE`. The
    page searches it, and needs the extra `index` or `postgres` for that. Without it, the page has no search."""
