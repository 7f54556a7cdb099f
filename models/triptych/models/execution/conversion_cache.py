"""Keep converted networks on this machine, so that later starts need not convert them again.

There is one file for each network and runtime, which a newer conversion replaces. It says what it was made from. The
caller compares what the network computes with torch before it relies on a file (`remembered_choice`), so a file that
passes for the right one and is not is found then.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog
from torch import Tensor, nn

FOLDER: Final = "converted"
_KEY: Final = "made_from.json"

_log = structlog.get_logger(__name__)

Parts = Mapping[str, bytes]
"""What a conversion wrote: the content of files, by name."""


@dataclass(frozen=True, slots=True)
class ConversionCache:
    """A folder of conversions. Without one, or where it cannot be written, each start converts.

    Attributes:
        folder: where the files are. It is made when it is needed.
    """

    folder: Path | None


class CachedConversion:
    """The conversion of one network for one runtime.

    Attributes:
        was_found: whether the parts came from the cache.
    """

    def __init__(self, cache: ConversionCache, name: str) -> None:
        """Read nothing yet. `name` is that of the network and the runtime, and of the file."""
        self._path = None if cache.folder is None else cache.folder / f"{name}.zip"
        self.was_found = False

    def find(self, key: Mapping[str, object]) -> Parts | None:
        """Return the parts from the cache, or None if they are missing, damaged or made from something else.

        Args:
            key: everything that the conversion depends on (`conversion_key`).
        """
        found = None if self._path is None else _read(self._path, json.dumps(key, sort_keys=True))
        self.was_found = found is not None
        return found

    def parts(self, key: Mapping[str, object], convert: Callable[[], Parts]) -> Parts:
        """Return the parts from the cache; if they are missing, damaged or made from something else, new ones.

        Args:
            key: everything that the conversion depends on (`conversion_key`).
            convert: converts the network.
        """
        found = self.find(key)
        if found is not None:
            return found
        made = convert()
        if self._path is not None:
            try:
                _write(self._path, json.dumps(key, sort_keys=True), made)
            except OSError as error:
                _log.info("conversion_not_kept", path=str(self._path), reason=str(error))
        return made

    def forget(self) -> None:
        """Do not use what is in the cache any more, not even if the file cannot be removed."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
        self._path = None


def parts_sha256(parts: Parts) -> str:
    """Return a checksum over the names and the content of parts."""
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(f"{name} {len(parts[name])}\n".encode())
        digest.update(parts[name])
    return digest.hexdigest()


def conversion_key(network: nn.Module, examples: Sequence[Tensor], **options: object) -> dict[str, object]:
    """Return what a conversion depends on, beside versions: parameters, buffers, shapes of the inputs, and options."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().numpy().data)
    return {
        "network": type(network).__qualname__,
        "sha256": digest.hexdigest(),
        "inputs": [[str(example.dtype), list(example.shape[1:])] for example in examples],
        **options,
    }


def package_versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions that a conversion depends on: ours, torch's and those of other packages."""
    return {package: version(package) for package in ("triptych", "torch", *packages)}


def _read(path: Path, made_from: str) -> Parts | None:
    try:
        with zipfile.ZipFile(path) as file:
            if file.read(_KEY).decode() != made_from:
                return None
            return {name: file.read(name) for name in file.namelist() if name != _KEY}
    except (OSError, KeyError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        # Missing, or damaged: also such that it claims to be encrypted, or of a later version of the format.
        return None


def _write(path: Path, made_from: str, parts: Parts) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as partial:
        written = Path(partial) / path.name
        with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as file:
            file.writestr(_KEY, made_from)
            for name, content in parts.items():
                file.writestr(name, content)
        written.replace(path)
