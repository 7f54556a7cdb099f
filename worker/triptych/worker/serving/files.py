"""Seeing that a model's files have changed, and when they have come to rest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from triptych.models.build import is_path
from triptych.models.checkpoints.paths import checkpoint_files

Look = tuple[tuple[int, int, int] | None, ...]
"""Of each file its inode, size and time of change; None of one that is not there."""


@dataclass(slots=True)
class WatchedFiles:
    """The files of a model, and which state of them was taken last."""

    paths: tuple[Path, ...]
    taken: Look = ()
    _seen: Look = ()

    def look(self) -> Look:
        """Return what is there now."""
        return tuple(_state(path) for path in self.paths)

    def has_settled_anew(self) -> bool:
        """Tell whether what is there is not what was taken, and was the same at the last look.

        So files that are being written, or of which one is in place and the other is not yet, are left alone.
        """
        before, self._seen = self._seen, self.look()
        return self._seen == before and self._seen != self.taken

    def take(self) -> None:
        """Remember what is there now as taken. Called before reading: what changes meanwhile is seen afterwards."""
        self.taken = self._seen = self.look()


def watched_files(name: str) -> WatchedFiles:
    """Return the files of a model by the name or path that the settings give; a model of ours has none."""
    return WatchedFiles(checkpoint_files(Path(name)) if is_path(name) else ())


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
