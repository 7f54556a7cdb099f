"""Find the files of a foundation model on this machine, and verify them. Nothing is downloaded here."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from triptych.files import why_unreadable
from triptych.models.foundation.files.manifest import (
    MANIFEST_NAME,
    FileManifest,
    combined_checksum,
    file_checksums,
    read_manifest,
    verify_files,
)
from triptych.models.foundation.files.model_source import ModelSource, parse_model_source
from triptych.models.pretrained.download.cache import cache_folder, search_folders
from triptych.schemas.errors import UsageError

OPEN_CLIP_CONFIG: Final = "open_clip_config.json"
SENTENCE_TRANSFORMERS_CONFIG: Final = "modules.json"
TRANSFORMERS_CONFIG: Final = "config.json"
_CONFIGS: Final = (TRANSFORMERS_CONFIG, OPEN_CLIP_CONFIG, SENTENCE_TRANSFORMERS_CONFIG)
_SUBFOLDER: Final = "foundation"
_COMMIT: Final = re.compile(r"[0-9a-f]{7,40}")
_SHOWN_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """The verified files of a foundation model.

    Attributes:
        source: where they come from.
        folder: the folder with the files.
        sha256: one checksum of all files. The same files have the same checksum wherever they lie.
        config: the content of `config.json`; empty if the model has none.
    """

    source: ModelSource
    folder: Path
    sha256: str
    config: dict[str, Any]

    @property
    def architecture(self) -> str:
        """Return the type of the model as its configuration states it, such as `siglip` or `clap`."""
        if (self.folder / SENTENCE_TRANSFORMERS_CONFIG).exists():
            return "sentence_transformers"
        if self.source.kind == "open_clip" or not self.config.get("model_type"):
            return "open_clip"
        return str(self.config["model_type"])

    @property
    def short_name(self) -> str:
        """Return a name of the model that changes with its files: `siglip@1a2b3c4d5e6f`."""
        return f"{self.architecture}@{self.sha256[:_SHOWN_DIGITS]}"


def pulled_folder(source: ModelSource, cache: Path) -> Path:
    """Return the folder in a cache for the files of a source with a full revision, whether or not it exists."""
    name = source.name.replace("/", "--")
    return cache / _SUBFOLDER / f"{source.kind}--{name}@{source.revision}"


def pulled_models(cache: Path) -> list[FileManifest]:
    """Return the manifests of the foundation models in the folders of the cache, by source. No file is verified."""
    folders = [folder for one in search_folders(cache) for folder in (one / _SUBFOLDER).glob("[!.]*")]
    found = [manifest for folder in folders if (manifest := read_manifest(folder)) is not None]
    return sorted(found, key=lambda manifest: manifest.source)


def find_model_files(source: ModelSource | str, *, cache: Path | None = None) -> ModelFiles:
    """Return the files of a source, after comparing them with the manifest if there is one. Reads every file once.

    Args:
        source: the source, or its text.
        cache: the cache folder; by default that of the user.

    Raises:
        UsageError: the source is malformed, its files are not on this machine, are unreadable or were changed.
    """
    source = parse_model_source(source) if isinstance(source, str) else source
    folder = _folder_of(source, cache or cache_folder())
    files = file_checksums(folder)
    if not any(name in files for name in _CONFIGS):
        raise UsageError(f"{folder}: expected the files of a model with one of {', '.join(_CONFIGS)}, found none")
    manifest = read_manifest(folder)
    if manifest is not None:
        verify_files(files, manifest, folder)
    elif source.kind != "folder":
        raise UsageError(f"{folder}: expected {MANIFEST_NAME}, found none; pull again: triptych models pull {source}")
    return ModelFiles(source, folder, combined_checksum(files), _config(folder))


def _folder_of(source: ModelSource, cache: Path) -> Path:
    if source.kind == "folder":
        folder = Path(source.name).expanduser().absolute()
        if not folder.is_dir():
            raise UsageError(why_unreadable(folder) or f"{source}: expected a folder, found none at {folder}")
        return folder
    if source.kind == "hf" and not _COMMIT.fullmatch(source.revision):
        raise UsageError(
            f"{source}: expected a commit after @, got {source.revision or 'none'!r}: a branch may change; "
            f"`triptych models pull {source}` prints the commit"
        )
    for one in search_folders(cache):
        found = sorted((one / _SUBFOLDER).glob(pulled_folder(source, one).name + "*"))
        if found:
            return found[0]
    raise UsageError(
        f"{source} is not in {cache / _SUBFOLDER}; a worker loads local files only: run triptych models pull {source}"
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / TRANSFORMERS_CONFIG
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: expected an object, got {type(content).__name__}")
    return content
