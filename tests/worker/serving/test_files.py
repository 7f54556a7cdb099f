"""When the files of a model have changed and come to rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.worker.serving.files import WatchedFiles, watched_files


@pytest.fixture
def files(tmp_path: Path) -> WatchedFiles:
    """Return two files that were taken as they are."""
    paths = (tmp_path / "model.safetensors", tmp_path / "model.json")
    for path in paths:
        path.write_bytes(b"1")
    watched = WatchedFiles(paths)
    watched.take()
    return watched


def test_what_stays_as_it_was_taken_is_nothing_new(files: WatchedFiles) -> None:
    """However often one looks."""
    assert [files.has_settled_anew() for _ in range(4)] == [False] * 4


def test_a_change_is_new_when_it_was_there_twice(files: WatchedFiles) -> None:
    """And once it was taken no more."""
    files.paths[0].write_bytes(b"22")
    assert [files.has_settled_anew() for _ in range(3)] == [False, True, True]
    files.take()
    assert not files.has_settled_anew()


def test_what_is_still_being_written_is_left_alone(files: WatchedFiles) -> None:
    """Weights that grow, then a card that takes its place: new only when all that is over."""
    for size in (10, 20, 30):
        files.paths[0].write_bytes(b"x" * size)
        assert not files.has_settled_anew()
    partial = files.paths[1].with_suffix(".part")
    partial.write_bytes(b"9")
    partial.replace(files.paths[1])
    assert not files.has_settled_anew()
    assert files.has_settled_anew()


def test_a_file_that_goes_is_a_change(files: WatchedFiles) -> None:
    """And one that comes back as it was, by another inode, is one more."""
    files.paths[1].unlink()
    assert [files.has_settled_anew() for _ in range(2)] == [False, True]


def test_a_model_of_ours_has_no_files(tmp_path: Path) -> None:
    """A path has two: the weights and the card."""
    assert watched_files("base").paths == ()
    paths = watched_files(str(tmp_path)).paths
    assert [path.name for path in paths] == ["model.safetensors", "model.json"]
