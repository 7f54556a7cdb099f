"""The archive of the broker's classes is made once, and a damaged one stops no broker."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tools.devservers import MissingProgramError
from tools.devservers.class_archive import archive_path, ensure_archive, use_flags
from tools.devservers.requirements import require_java

if TYPE_CHECKING:
    from pathlib import Path


def test_the_archive_is_made_once(tmp_path: Path) -> None:
    """A second caller gets the same file."""
    archive = tmp_path / "classes.jsa"
    made: list[Path] = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_bytes(b"classes")

    ensure_archive.cache_clear()
    assert ensure_archive(archive, make) == archive
    ensure_archive.cache_clear()  # as in another process
    assert ensure_archive(archive, make) == archive

    assert archive.read_bytes() == b"classes"
    assert len(made) == 1
    assert not made[0].exists()


def test_without_a_file_brokers_start_without_the_archive(tmp_path: Path) -> None:
    """It is tried once per process: a start that fails again and again would delay each broker."""
    tries: list[Path] = []

    make = tries.append  # one object, as of a function
    assert ensure_archive(tmp_path / "classes.jsa", make) is None
    assert ensure_archive(tmp_path / "classes.jsa", make) is None
    assert len(tries) == 1


def test_another_java_has_another_archive(tmp_path: Path) -> None:
    """An archive can be read by the build of Java that wrote it only."""
    java, other = tmp_path / "java", tmp_path / "other"
    java.touch()
    other.touch()

    assert archive_path(java, tmp_path / "kafka-1") == archive_path(java, tmp_path / "kafka-1")
    assert archive_path(java, tmp_path / "kafka-1") != archive_path(other, tmp_path / "kafka-1")
    assert archive_path(java, tmp_path / "kafka-1") != archive_path(java, tmp_path / "kafka-2")


def test_java_starts_without_a_damaged_archive(tmp_path: Path) -> None:
    """The flags allow that."""
    try:
        java = require_java()
    except MissingProgramError as missing:
        pytest.skip(str(missing))
    damaged = tmp_path / "classes.jsa"
    damaged.write_bytes(b"no archive")

    done = subprocess.run([java, *use_flags(damaged), "-version"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout
