"""The wheel puts one name among its users' packages, with everything that the programs read."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of a wheel built from a copy, so that nothing is left in the working tree."""
    copy = tmp_path_factory.mktemp("build") / "triptych"
    ignored = shutil.ignore_patterns(".*", "build", "tests", "docs", "*.egg-info", "__pycache__")
    shutil.copytree(REPOSITORY, copy, symlinks=True, ignore=ignored)
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "build", "--quiet", "--wheel", "--python", sys.executable, copy], check=True)
    (wheel,) = (copy / "dist").glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_the_wheel_holds_one_package(wheel_names: set[str]) -> None:
    """`schemas` or `worker` among a user's packages would be in somebody's way."""
    roots = {name.partition("/")[0] for name in wheel_names}

    assert {root for root in roots if not root.endswith(".dist-info")} == {"triptych"}


def test_the_wheel_holds_every_module_and_data_file(wheel_names: set[str]) -> None:
    """Through the links, whatever the kind of file."""
    tracked = subprocess.run(
        ["git", "ls-files", "schemas", "transport", "producers", "worker", "consumers"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    expected = {f"triptych/{name}" for name in tracked.stdout.splitlines()}
    expected |= {"triptych/py.typed", "triptych/samples/CREDITS.md", "triptych/samples/librivox_city_15s.mkv"}

    assert expected - wheel_names == set()
