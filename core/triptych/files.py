"""Write files that others may read, and say why a file cannot be read.

Temporary files and folders of `tempfile` belong to their creator alone (mode 0600 or 0700), and keep that mode when
they are renamed. What is written here has the mode that the umask gives to any other new file.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """Yield the path of a new, empty file beside `path`, and rename it to `path` at the end.

    Readers see the old file or the complete new one. After an exception, the old one stays.
    """
    partial = _beside(path)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    mode = stat.S_IMODE(os.fstat(handle).st_mode)  # the kernel has applied the umask
    os.close(handle)
    try:
        yield partial
        partial.chmod(mode)  # a library may have replaced the file by one with a mode of its own
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def unfinished_folder(path: Path) -> Iterator[Path]:
    """Yield a new, empty folder beside `path`, to be renamed to `path`. At the end it is deleted where it still is."""
    partial = _beside(path)
    partial.mkdir()
    try:
        yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def why_unreadable(path: Path) -> str | None:
    """Return why this user cannot read a file or folder; None if they can, or if there is none."""
    absolute = path.absolute()
    for folder in reversed(absolute.parents):
        if folder.exists() and not os.access(folder, os.X_OK, effective_ids=True):
            return _denied(path, folder)
    try:
        is_folder = absolute.is_dir()
    except OSError as error:
        return f"{path}: cannot be read: {error.strerror}"
    if not absolute.exists() or os.access(absolute, os.R_OK | os.X_OK if is_folder else os.R_OK, effective_ids=True):
        return None
    return _denied(path, absolute)


def why_not_writable(path: Path) -> str | None:
    """Return why this user cannot create `path` or a file in it; None if nothing speaks against it."""
    unreadable = why_unreadable(path)
    if unreadable is not None:
        return unreadable
    nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if os.access(nearest, os.W_OK | os.X_OK, effective_ids=True):
        return None
    if os.statvfs(nearest).f_flag & os.ST_RDONLY:
        return f"{path}: cannot be written: {nearest} is on a read-only file system"
    return f"{path}: cannot be written by user {os.geteuid()}: {_owner(nearest)}"


def _denied(path: Path, blocking: Path) -> str:
    return f"{path}: cannot be read by user {os.geteuid()}: {_owner(blocking)}"


def _owner(path: Path) -> str:
    status = path.stat()
    return f"{path} belongs to user {status.st_uid}, group {status.st_gid}, mode {stat.S_IMODE(status.st_mode):04o}"


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}-{uuid4().hex}")
