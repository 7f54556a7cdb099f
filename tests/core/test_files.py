"""Files that others may read, and the reasons why a file cannot be read."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from triptych.files import replacing_file, unfinished_folder, why_not_writable, why_unreadable

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a program as another user")
OTHER = 10_001


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Set the umask of this process for one test."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _as_other(path: Path, function: Callable[[Path], object]) -> str:
    """Call a function in a child process that gives up its rights: another user may be unable to run this Python."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(OTHER)
        os.setuid(OTHER)
        os.write(writing, str(function(path)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    assert os.waitpid(child, 0)[1] == 0
    return text


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Return an empty folder that every user reaches: pytest closes its own to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_file_has_the_mode_that_the_umask_gives(tmp_path: Path, umask: int) -> None:
    """As any other new file, not 0600 as those of tempfile."""
    with replacing_file(tmp_path / "file") as partial:
        partial.write_text("text")

    assert _mode(tmp_path / "file") == 0o666 & ~umask
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_writer_that_makes_a_private_file_of_its_own_does_not_decide(tmp_path: Path) -> None:
    """The safetensors library replaces the file by one with mode 0600."""
    with replacing_file(tmp_path / "file") as partial:
        partial.unlink()
        partial.touch(0o600)

    assert _mode(tmp_path / "file") == _mode_of_a_new_file(tmp_path)


def _mode_of_a_new_file(folder: Path) -> int:
    other = folder / "other"
    other.touch()
    return _mode(other)


def test_an_exception_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """Readers see the old file or the complete new one."""
    (tmp_path / "file").write_text("old")

    def fail() -> None:
        with replacing_file(tmp_path / "file") as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_has_the_mode_that_the_umask_gives(tmp_path: Path, umask: int) -> None:
    """As any other new folder, not 0700 as those of tempfile; one that is not renamed is deleted."""
    with unfinished_folder(tmp_path / "folder") as partial:
        partial.rename(tmp_path / "folder")
    with unfinished_folder(tmp_path / "given up"):
        pass

    assert _mode(tmp_path / "folder") == 0o777 & ~umask
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_can_be_read_or_is_not_there_is_not_unreadable(tmp_path: Path) -> None:
    """A missing file has another error."""
    (tmp_path / "file").touch()

    assert why_unreadable(tmp_path / "file") is None
    assert why_unreadable(tmp_path) is None
    assert why_unreadable(tmp_path / "missing" / "file") is None
    assert why_not_writable(tmp_path / "missing" / "file") is None


@needs_root
@pytest.mark.parametrize("closed", ["folder/file", "folder"])
def test_the_reason_names_the_user_and_what_is_closed_to_it(open_path: Path, closed: str) -> None:
    """The file itself, or a folder above."""
    file = open_path / "folder" / "file"
    file.parent.mkdir()
    file.touch()
    (open_path / closed).chmod(0o700)

    reason = _as_other(file, why_unreadable)

    assert reason == (
        f"{file}: cannot be read by user {OTHER}: {open_path / closed} belongs to user 0, group 0, mode 0700"
    )


@needs_root
def test_a_folder_of_another_user_is_not_writable(open_path: Path) -> None:
    """It can still be read."""
    file = open_path / "new"

    assert _as_other(open_path, why_unreadable) == "None"
    assert _as_other(file, why_not_writable) == (
        f"{file}: cannot be written by user {OTHER}: {open_path} belongs to user 0, group 0, mode 0755"
    )
