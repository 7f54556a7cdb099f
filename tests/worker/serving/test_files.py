"""Detecting changed files of a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.worker.serving.files import WatchedFiles, watched_files


@pytest.fixture
def files(tmp_path: Path) -> WatchedFiles:
    """Return two files that are marked as loaded."""
    paths = (tmp_path / "model.safetensors", tmp_path / "model.json")
    for path in paths:
        path.write_bytes(b"1")
    watched = WatchedFiles(paths)
    watched.mark_loaded()
    return watched


def test_unchanged_files_have_not_changed(files: WatchedFiles) -> None:
    """However often they are checked."""
    assert [files.has_changed() for _ in range(4)] == [False] * 4


def test_a_change_is_reported_when_two_checks_see_the_same_state(files: WatchedFiles) -> None:
    """And not any more once it is marked as loaded."""
    files.paths[0].write_bytes(b"22")
    assert [files.has_changed() for _ in range(3)] == [False, True, True]
    files.mark_loaded()
    assert not files.has_changed()


def test_files_that_are_still_being_written_have_not_changed(files: WatchedFiles) -> None:
    """The weights grow, then the card is replaced. The change is reported after both."""
    for size in (10, 20, 30):
        files.paths[0].write_bytes(b"x" * size)
        assert not files.has_changed()
    partial = files.paths[1].with_suffix(".part")
    partial.write_bytes(b"9")
    partial.replace(files.paths[1])
    assert not files.has_changed()
    assert files.has_changed()


def test_a_removed_file_is_a_change(files: WatchedFiles) -> None:
    """Two checks see it missing."""
    files.paths[1].unlink()
    assert [files.has_changed() for _ in range(2)] == [False, True]


def test_a_built_in_model_has_no_files(tmp_path: Path) -> None:
    """A path has two files: the weights and the card."""
    assert watched_files("base").paths == ()
    paths = watched_files(str(tmp_path)).paths
    assert [path.name for path in paths] == ["model.safetensors", "model.json"]
