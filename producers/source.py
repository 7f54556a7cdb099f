"""What a user names as a source, checked before anything is opened.

Today a source is a file. Other kinds (RTSP, HLS, devices) come in here, by their scheme.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from triptych.schemas.errors import UsageError

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_MAX_URI_CHARACTERS: Final = 2_048


@dataclass(frozen=True, slots=True)
class FileSource:
    """A media file."""

    path: Path

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.path.name

    @property
    def uri(self) -> str:
        """The `ce_source` of its records."""
        uri = self.path.absolute().as_uri()
        return uri if len(uri) <= _MAX_URI_CHARACTERS else uri[-_MAX_URI_CHARACTERS:]


def parse_source(text: str) -> FileSource:
    """Return the source that a user's word names; raise `UsageError` where there is none."""
    scheme = _SCHEME.match(text)
    if scheme is None:
        return FileSource(_readable(Path(text), text))
    if scheme[1].lower() == "file":
        return FileSource(_readable(Path(unquote(urlsplit(text).path)), text))
    raise UsageError(f"expected a file as source, got a URL of the kind {scheme[1]}://, which cannot be played yet")


def _readable(path: Path, text: str) -> Path:
    if path.is_dir():
        raise UsageError(f"{text}: expected a media file, got a folder")
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise UsageError(f"{text}: expected a media file, got an empty one")
    except FileNotFoundError:
        raise UsageError(f"{text}: no such file") from None
    except OSError as error:
        raise UsageError(f"{text}: cannot be read ({error.strerror})") from None
    return path
