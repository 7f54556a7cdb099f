"""Build the front end of `triptych page` with npm: `python3 tools/build_page.py`. Needs no package of Python.

The packages of npm are those of `page/package-lock.json`. What is up to date is not built again.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]
STATIC: Final = Path("consumers/triptych/consumers/page/static")
"""Where the built files lie in the repository. Git ignores them; wheels have them."""

_NOT_SOURCES: Final = frozenset({"node_modules"})


class PageBuildError(Exception):
    """The page could not be built. The message says what to do."""


def build_page(repository: Path = REPOSITORY) -> bool:
    """Build the page of a source tree if its sources are newer than what was built. Blocks; uses the network.

    Returns:
        Whether it was built: false if it was up to date.

    Raises:
        PageBuildError: npm is missing, or failed.
    """
    page = repository / "page"
    with (page / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests in several processes build it at the same time
        return _build_if_stale(repository, page)


def _build_if_stale(repository: Path, page: Path) -> bool:
    built = repository / STATIC / "index.html"
    if built.exists() and built.stat().st_mtime >= _newest_s(page):
        return False
    run_command([install_packages(page), "run", "--silent", "build"], page)
    return True


def install_packages(folder: Path) -> str:
    """Install the packages that a folder's lock names, unless they are, and return the path of npm. Blocks.

    Raises:
        PageBuildError: npm is missing, or failed.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise PageBuildError(
            "npm is needed to build the front end of `triptych page`, and is not on the PATH: apt-get install npm, "
            "or set TRIPTYCH_BUILD_WITHOUT_PAGE=1 to leave the page out"
        )
    if not _has_packages(folder):
        run_command([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)
    return npm


def _newest_s(page: Path) -> float:
    """The time of the newest source, in seconds since the epoch."""
    sources = [
        path
        for entry in page.iterdir()
        if entry.name not in _NOT_SOURCES
        for path in ([entry] if entry.is_file() else entry.rglob("*"))
    ]
    return max(path.stat().st_mtime for path in sources)


def _has_packages(folder: Path) -> bool:
    """Whether npm has installed what the lock names: it writes this file last."""
    installed = folder / "node_modules" / ".package-lock.json"
    return installed.exists() and installed.stat().st_mtime >= (folder / "package-lock.json").stat().st_mtime


def run_command(command: list[str], folder: Path) -> None:
    """Run a command in a folder. Raises `PageBuildError` with its output if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PageBuildError(f"{' '.join(command)} failed in {folder}:\n{done.stdout}{done.stderr}".rstrip())


if __name__ == "__main__":
    try:
        was_built = build_page()
    except PageBuildError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{'Built' if was_built else 'Up to date:'} {STATIC}\n")
