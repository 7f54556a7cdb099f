"""`make test-compiled` sets TRIPTYCH_COMPILED: its tests run on the compiled modules. Without it they are skipped."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import pytest

from tools.compiled import copy_packages, module_files

REPOSITORY = Path(__file__).parents[2]
FOLDER = os.environ.get("TRIPTYCH_COMPILED", "")
HOT = {"aligner", "stream", "merge", "track", "window_buffer", "offset_tracker"}


def test_the_modules_of_every_record_are_among_those_that_are_compiled(tmp_path: Path) -> None:
    """They are found in the folder into which the packages are copied."""
    copy_packages(REPOSITORY, tmp_path)

    compiled = {path.stem for path in module_files(tmp_path)}

    assert compiled >= HOT
    assert "__init__" not in compiled


@pytest.mark.skipif(not FOLDER, reason="runs in `make test-compiled`")
def test_the_compiled_modules_are_those_that_run() -> None:
    """Each one comes from a library in the folder."""
    folder = Path(FOLDER).resolve()
    names = [".".join(path.relative_to(folder).with_suffix("").parts) for path in module_files(folder)]

    files = {name: Path(str(import_module(name).__file__)) for name in names}

    assert len(files) >= len(HOT)
    assert {name for name, file in files.items() if file.suffix != ".so" or folder not in file.parents} == set()
