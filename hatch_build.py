"""Hatchling's build hook: it builds the front end of `triptych page`, and compiles modules where that is asked for.

A source distribution has the built files of the page instead of their sources, so that a wheel is made of it without
npm. TRIPTYCH_BUILD_WITHOUT_PAGE=1 leaves the page out. TRIPTYCH_BUILD_COMPILED=1 compiles the modules that every record
passes through (`tools/compiled.py`) into a wheel, which is then for one version of Python and one platform. An editable
installation is left as it is: `make page` builds there.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

STATIC = "consumers/triptych/consumers/page/static"


class TriptychBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the built page and the compiled modules to what is packed."""

    def dependencies(self) -> list[str]:
        """Return what the build needs beside Hatchling."""
        return ["mypy>=2.1,<3", "setuptools>=78"] if self._compiles() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build and compile, unless the installation is editable."""
        if version == "editable":
            return
        if os.environ.get("TRIPTYCH_BUILD_WITHOUT_PAGE") != "1":
            self._add_page(build_data)
        if self._compiles():
            self._add_compiled_modules(build_data)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled."""
        del build_data, artifact_path
        if version != "editable" and self._compiles():
            self._folder.cleanup()

    def _compiles(self) -> bool:
        return self.target_name == "wheel" and os.environ.get("TRIPTYCH_BUILD_COMPILED") == "1"

    def _add_page(self, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if (root / "page").is_dir():
            _tool(root, "build_page").build_page(root)
        elif not (root / STATIC / "index.html").is_file():
            self.app.abort(
                f"Neither the sources of the page (page/) nor its built files ({STATIC}) are there. "
                "TRIPTYCH_BUILD_WITHOUT_PAGE=1 leaves the page out."
            )
        packed_as = STATIC if self.target_name == "sdist" else STATIC.partition("/")[2]
        build_data["force_include"][str(root / STATIC)] = packed_as

    def _add_compiled_modules(self, build_data: dict[str, Any]) -> None:
        compiled = _tool(Path(self.root), "compiled")
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        compiled.copy_packages(Path(self.root), folder)
        for library in compiled.compile_modules(folder):
            build_data["force_include"][str(library)] = str(library.relative_to(folder))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def _tool(root: Path, name: str) -> ModuleType:
    """Import a module of tools/, which is not installed, from the project's own folder."""
    spec = importlib.util.spec_from_file_location(f"tools.{name}", root / "tools" / f"{name}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"tools/{name}.py, which the build needs")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module
    spec.loader.exec_module(module)
    return module
