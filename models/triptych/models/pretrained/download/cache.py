"""The folders in which weights are cached."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from triptych.files import why_not_writable, why_unreadable
from triptych.schemas.errors import UsageError

CACHE_VARIABLE = "TRIPTYCH_CACHE"


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that is written to: the first of `$TRIPTYCH_CACHE`, else the user's cache according to XDG.

    Raises:
        UsageError: no variable names a folder, and the user has no home.
    """
    return cache_folders(environ)[0]


def cache_folders(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Return all folders that are searched for weights, in this order.

    `$TRIPTYCH_CACHE` may hold several, separated by colons: those after the first are only read. So an image can bring
    its weights, and a volume those that are downloaded later.

    Raises:
        UsageError: see `cache_folder`.
    """
    try:
        named = [Path(part).expanduser() for part in environ.get(CACHE_VARIABLE, "").split(os.pathsep) if part]
        if not named:
            base = environ.get("XDG_CACHE_HOME")
            named = [(Path(base) if base else Path.home() / ".cache") / "triptych"]
    except RuntimeError as error:
        raise UsageError(
            f"expected a folder for weights, found none: user {os.geteuid()} has no home folder; set {CACHE_VARIABLE}"
        ) from error
    return tuple(folder / "models" for folder in named)


def search_folders(folder: Path) -> tuple[Path, ...]:
    """Return where to look for weights of this cache folder: in itself and in those that `$TRIPTYCH_CACHE` adds."""
    listed = os.environ.get(CACHE_VARIABLE)
    folders = cache_folders() if listed else (folder,)
    return folders if folders[0] == folder else (folder,)


def not_cached(name: str, file: Path, pull: str) -> UsageError:
    """Return the error for weights that cannot be used: they cannot be read, or they are not there.

    Args:
        name: name of the weights.
        file: where they should be.
        pull: the command that downloads them.
    """
    reason = why_unreadable(file)
    if reason is not None:
        return UsageError(f"the weights {name}: {reason}; give this user access, or set {CACHE_VARIABLE}")
    return UsageError(f"the weights {name} are not in {file.parent}; download them with: {pull}")


def require_writable(folder: Path) -> None:
    """Raise `UsageError` if this user cannot store weights in the folder."""
    reason = why_not_writable(folder)
    if reason is not None:
        raise UsageError(f"weights cannot be stored: {reason}; give this user access, or set {CACHE_VARIABLE}")
