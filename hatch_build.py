"""Hatchling's build hook: it builds the front end of `triptych page` into wheels and source distributions.

A source distribution has the built files instead of their sources, so that a wheel is made of it without npm. An
editable installation is left as it is: `make page` builds there. TRIPTYCH_BUILD_WITHOUT_PAGE=1 leaves the page out.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = "consumers/triptych/consumers/page/static"


class PageBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the built page to what is packed."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, unless the installation is editable or the page is left out."""
        if version == "editable" or os.environ.get("TRIPTYCH_BUILD_WITHOUT_PAGE") == "1":
            return
        root = Path(self.root)
        if (root / "page").is_dir():
            _build(root)
        elif not (root / STATIC / "index.html").is_file():
            self.app.abort(
                f"Neither the sources of the page (page/) nor its built files ({STATIC}) are there. "
                "TRIPTYCH_BUILD_WITHOUT_PAGE=1 leaves the page out."
            )
        packed_as = STATIC if self.target_name == "sdist" else STATIC.partition("/")[2]
        build_data["force_include"][str(root / STATIC)] = packed_as


def _build(root: Path) -> None:
    spec = importlib.util.spec_from_file_location("build_page", root / "tools" / "build_page.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("tools/build_page.py, which builds the page")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.build_page(root)
