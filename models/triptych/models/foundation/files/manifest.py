"""The list of a model's files with their checksums: kept beside pulled files, and verified at each load."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from triptych.files import replacing_file, why_unreadable
from triptych.schemas.errors import UsageError

MANIFEST_NAME: Final = "triptych-manifest.json"
_SHOWN_NAMES: Final = 3


class FileManifest(BaseModel):
    """What was pulled.

    Attributes:
        source: the source, with its revision.
        revision: the commit of the repository that the files come from.
        licence: the licence that the repository states, in lower case; `unknown` if it states none.
        files: the sha256 of each file by its path in the folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    revision: str
    licence: str
    files: Mapping[str, str]


def write_manifest(manifest: FileManifest, folder: Path) -> None:
    """Write the manifest of a folder, all or nothing."""
    with replacing_file(folder / MANIFEST_NAME) as partial:
        partial.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> FileManifest | None:
    """Return the manifest of a folder; None if it has none.

    Raises:
        UsageError: it cannot be read.
    """
    path = folder / MANIFEST_NAME
    try:
        return FileManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise UsageError(why_unreadable(path) or f"{path}: not a manifest of a model: {error}") from error


def file_checksums(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of a model by its path in the folder, in order.

    Hidden files and pages for readers (`*.md`) affect no prediction and are left out.

    Raises:
        UsageError: a file cannot be read.
    """
    return {path.relative_to(folder).as_posix(): _file_sha256(path) for path in sorted(_files(folder))}


def combined_checksum(files: Mapping[str, str]) -> str:
    """Return one sha256 for all files: it changes whenever a file is added, removed, renamed or changed."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def verify_files(files: Mapping[str, str], manifest: FileManifest, folder: Path) -> None:
    """Compare the files of a folder with its manifest.

    Raises:
        UsageError: a file is missing, was added or was changed.
    """
    different = sorted(
        name for name in files.keys() | manifest.files.keys() if files.get(name) != manifest.files.get(name)
    )
    if different:
        more = f" and {len(different) - _SHOWN_NAMES} more" if len(different) > _SHOWN_NAMES else ""
        raise UsageError(
            f"{folder}: expected the files of {manifest.source} as they were pulled, but "
            f"{', '.join(different[:_SHOWN_NAMES])}{more} differ from {MANIFEST_NAME}; remove the folder and pull again"
        )


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.name != MANIFEST_NAME and path.suffix.lower() != ".md" and path.is_file():
            yield path


def _file_sha256(path: Path) -> str:
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(why_unreadable(path) or f"{path}: cannot read the file of a model: {error}") from error
