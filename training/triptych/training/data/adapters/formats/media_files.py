"""Find a data set's media files by name, whatever folder they are in."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

FILMS: Final = frozenset({".mp4", ".mkv", ".webm", ".avi", ".mov", ".flv"})
SOUNDS: Final = frozenset({".wav", ".flac", ".mp3", ".m4a", ".ogg"})
PICTURES: Final = frozenset({".jpg", ".jpeg", ".png"})


class MediaFiles:
    """The media files below a folder, by name without suffix."""

    def __init__(self, root: Path) -> None:
        """List the folder once."""
        self._by_stem: dict[str, list[Path]] = {}
        for file in sorted(root.rglob("*")):
            if file.suffix.lower() in FILMS | SOUNDS | PICTURES and file.is_file():
                self._by_stem.setdefault(file.stem, []).append(file)

    @property
    def stems(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        return tuple(sorted(self._by_stem))

    def find(self, stem: str, endings: Collection[str], *, within: str = "") -> Path | None:
        """Return the file with this name and one of these suffixes, optionally below a folder called `within`."""
        for file in self._by_stem.get(stem, ()):
            if file.suffix.lower() in endings and (not within or within in file.parts):
                return file
        return None
