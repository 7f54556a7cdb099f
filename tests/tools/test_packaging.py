"""The wheel holds every module and data file of every package, wherever it is built from."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]
ROOTS = ("core", "schemas", "transport", "models", "producers", "worker", "consumers", "training", "app")
UV = Path(sys.executable).with_name("uv")


def _git(*args: str) -> bytes:
    return subprocess.run(["git", *args], cwd=REPOSITORY, check=True, capture_output=True).stdout


def _build(source: Path, out: Path, *kinds: str) -> None:
    command = [UV, "build", "--quiet", *kinds, "--python", sys.executable, "--out-dir", out, source]
    subprocess.run(command, check=True)


def _clone(folder: Path) -> Path:
    """Clone as on a machine without symbolic links."""
    options = ["-c", "core.symlinks=false", "--quiet"]
    subprocess.run(["git", "clone", *options, REPOSITORY, folder / "clone"], check=True)
    return folder / "clone"


def _archive(folder: Path) -> Path:
    """Unpack a ZIP archive, as hosting services offer it for download."""
    zipfile.ZipFile(io.BytesIO(_git("archive", "--format=zip", "HEAD"))).extractall(folder / "archive")
    return folder / "archive"


def _sdist(folder: Path) -> Path:
    _build(_archive(folder), folder / "sdist", "--sdist")
    (sdist,) = (folder / "sdist").glob("*.tar.gz")
    return sdist


@pytest.fixture(scope="module", params=[_clone, _archive, _sdist], ids=lambda make: make.__name__.lstrip("_"))
def wheel_names(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of a wheel that is built from the committed tree: from a clone, an archive, and an sdist."""
    make: Callable[[Path], Path] = request.param
    folder = tmp_path_factory.mktemp("build")
    _build(make(folder), folder / "wheel", "--wheel")
    (wheel,) = (folder / "wheel").glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_one_package(wheel_names: set[str]) -> None:
    """Top-level packages named `schemas` or `worker` would clash with other projects."""
    roots = {name.partition("/")[0] for name in wheel_names}

    assert {root for root in roots if not root.endswith(".dist-info")} == {"triptych"}


def test_the_wheel_holds_every_module_and_data_file(wheel_names: set[str]) -> None:
    """Every file that is committed below the source roots."""
    tracked = _git("ls-tree", "-r", "--name-only", "HEAD", *ROOTS).decode().splitlines()
    expected = {Path(*Path(name).parts[1:]).as_posix() for name in tracked}

    assert "triptych/worker/publishing/stores/store_result.lua" in expected
    assert expected - wheel_names == set()
    assert "triptych/__init__.py" not in wheel_names
