"""Detects that the files of a model have changed and are no longer being written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from triptych.models.build import is_path
from triptych.models.checkpoints.paths import checkpoint_files

FileStates = tuple[tuple[int, int, int] | None, ...]
"""The inode, size and modification time of each file; None for a missing file."""


@dataclass(slots=True)
class WatchedFiles:
    """The files of a model, and their state when the model was last loaded."""

    paths: tuple[Path, ...]
    loaded: FileStates = ()
    _seen: FileStates = ()

    def current(self) -> FileStates:
        """Return the current state of the files."""
        return tuple(_state(path) for path in self.paths)

    def has_changed(self) -> bool:
        """Tell whether the files differ from the loaded ones and have not changed since the last call.

        The second condition avoids loading files that are still being written, or of which only some are replaced.
        """
        before, self._seen = self._seen, self.current()
        return self._seen == before and self._seen != self.loaded

    def mark_loaded(self) -> None:
        """Remember the current state as loaded. Call it before loading, so that a change meanwhile is detected."""
        self.loaded = self._seen = self.current()


def watched_files(name: str) -> WatchedFiles:
    """Return the files of a model by the name or path in the settings. A built-in model has none."""
    return WatchedFiles(checkpoint_files(Path(name)) if is_path(name) else ())


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
