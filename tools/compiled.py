"""Compiles the modules that every record passes through with mypyc: `python -m tools.compiled FOLDER`.

The same source runs uncompiled. A wheel has the compiled modules beside it when it is built with
`TRIPTYCH_BUILD_COMPILED=1` (`hatch_build.py`); without the variable, and in editable installations, nothing is
compiled. `make test-compiled` runs the tests of these modules on both.

It needs mypy, setuptools and a C compiler.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[1]
SOURCE_ROOTS: Final = (
    "core",
    "schemas",
    "transport",
    "models",
    "producers",
    "worker",
    "consumers",
    "training",
    "app",
)
_COMPILED: Final = (
    "triptych/worker/alignment/*.py",
    "triptych/worker/partitions/offset_tracker.py",
)
_OPTIONS: Final = (
    "--config-file=",  # that of the repository loads the plugin of pydantic, which a build need not have
    "--namespace-packages",
    "--explicit-package-bases",
    "--ignore-missing-imports",
    "--follow-imports=silent",
)
_SETUP: Final = """
import sys
from mypyc.build import mypycify
from setuptools import setup
modules = mypycify(sys.argv[1:])
setup(name="triptych", packages=[], ext_modules=modules, script_args=["--quiet", "build_ext", "--inplace"])
"""


def module_files(folder: Path) -> list[Path]:
    """Return the files of the modules that are compiled, in a folder of `copy_packages`."""
    found = [path for pattern in _COMPILED for path in sorted(folder.glob(pattern))]
    return [path for path in found if path.name != "__init__.py"]


def copy_packages(root: Path, to: Path) -> None:
    """Copy the packages of all source roots of a repository into one folder, from which Python can import them."""
    for source in SOURCE_ROOTS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / source / "triptych", to / "triptych", ignore=ignored, dirs_exist_ok=True)


def compile_modules(folder: Path) -> list[Path]:
    """Compile the modules in a folder of `copy_packages`. Return the libraries, most of them beside their sources.

    Blocks for about a minute.

    Raises:
        CalledProcessError: mypy or the C compiler has found errors, which it has printed.
    """
    sources = [str(path.relative_to(folder)) for path in module_files(folder)]
    environ = {**os.environ, "MYPYPATH": str(folder), "PYTHONPATH": ""}
    subprocess.run([sys.executable, "-c", _SETUP, *_OPTIONS, *sources], cwd=folder, env=environ, check=True)
    return sorted(path for path in folder.rglob("*.so") if "build" not in path.relative_to(folder).parts)


def main() -> None:
    """Copy the packages to a folder, which is emptied before, and compile them there."""
    folder = Path(sys.argv[1]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    copy_packages(REPOSITORY, folder)
    sys.stdout.write(f"{len(compile_modules(folder))} compiled libraries in {folder}\n")


if __name__ == "__main__":
    main()
