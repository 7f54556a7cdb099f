"""Compiles modules for a wheel: `HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 uv build --wheel`. See `tools/compiled.py`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompiledBuildHook(BuildHookInterface):
    """Adds the compiled modules to a wheel, which is then for one version of Python and one platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, unless the installation is editable."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from tools.compiled import compile_modules, copy_packages  # noqa: PLC0415 - found in the project's own folder

        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        copy_packages(Path(self.root), folder)
        for library in compile_modules(folder):
            build_data["force_include"][str(library)] = str(library.relative_to(folder))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled."""
        del build_data, artifact_path
        if version != "editable":
            self._folder.cleanup()
