"""Hooks of mkdocs: links that leave `docs/` become plain text on the site, and must name a file of the repository."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any, Final

REPOSITORY: Final = Path(__file__).parents[1]

_LINK: Final = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#]+)(?:#[^)]*)?\)")

log: Final = logging.getLogger("mkdocs.hooks")  # a warning fails a strict build


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:  # noqa: ANN401 - a type of mkdocs
    """Replace links to files outside of `docs/` by their text; warn where the file does not exist."""
    source = Path(page.file.src_uri)

    def replace(link: re.Match[str]) -> str:
        target = (REPOSITORY / "docs" / source.parent / link[2]).resolve()
        if target.is_relative_to(REPOSITORY / "docs"):
            return link[0]
        if not target.exists():
            log.warning("%s: %s links to %s, which does not exist", source, link[1], link[2])
        return link[1]

    return _LINK.sub(replace, markdown)
