"""The wheel holds every module and data file of every package, wherever it is built from."""

from __future__ import annotations

import io
import os
import shutil
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
REQUIRED = os.environ.get("TRIPTYCH_REQUIRE_SERVERS") == "1" or os.environ.get("CI") == "true"
STATIC = "triptych/consumers/page/static"
WITHOUT_PAGE = {"TRIPTYCH_BUILD_WITHOUT_PAGE": "1"}
"""Most wheels here are built without the front end of the page: npm takes longer than the rest."""


def _git(*args: str) -> bytes:
    return subprocess.run(["git", *args], cwd=REPOSITORY, check=True, capture_output=True).stdout


def _build(source: Path, out: Path, *kinds: str, **variables: str) -> None:
    command = [UV, "build", "--quiet", *kinds, "--python", sys.executable, "--out-dir", out, source]
    subprocess.run(command, check=True, env=os.environ | WITHOUT_PAGE | variables)


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
    assert [name for name in wheel_names if name.startswith(STATIC)] == []


def test_a_wheel_of_a_source_distribution_has_the_built_page(tmp_path: Path) -> None:
    """The source distribution has the built files instead of the sources, so that no npm is needed any more."""
    if shutil.which("npm") is None:
        message = "npm is missing: apt-get install npm"
        pytest.fail(message) if REQUIRED else pytest.skip(message)
    _build(_archive(tmp_path), tmp_path / "sdist", "--sdist", TRIPTYCH_BUILD_WITHOUT_PAGE="0")
    (sdist,) = (tmp_path / "sdist").glob("*.tar.gz")
    without_npm = os.pathsep.join([str(Path(sys.executable).parent), str(tmp_path)])

    _build(sdist, tmp_path / "wheel", "--wheel", TRIPTYCH_BUILD_WITHOUT_PAGE="0", PATH=without_npm)

    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    names = [name for name in zipfile.ZipFile(wheel).namelist() if name.startswith(STATIC)]
    assert f"{STATIC}/index.html" in names
    assert {Path(name).suffix for name in names} == {".html", ".svg", ".js", ".css"}
    assert len(names) == len(set(names))


def test_a_build_without_npm_says_what_to_do(tmp_path: Path) -> None:
    """It does not silently make a wheel without a page."""
    command = [UV, "build", "--wheel", "--python", sys.executable, "--out-dir", tmp_path / "wheel", _archive(tmp_path)]
    path = os.pathsep.join([str(Path(sys.executable).parent), str(tmp_path)])
    environ = os.environ | {"TRIPTYCH_BUILD_WITHOUT_PAGE": "0", "PATH": path}

    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ)

    assert done.returncode != 0
    assert "npm is needed to build the front end of `triptych page`" in done.stderr
    assert "TRIPTYCH_BUILD_WITHOUT_PAGE=1 to leave the page out" in done.stderr
