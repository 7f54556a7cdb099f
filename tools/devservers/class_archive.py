"""The broker's classes in a form that Java loads at once: class data sharing, JEP 350.

A start with the archive takes about a third of the processor time. It is made once for each Java and version of Kafka,
and stands beside the jars in the user's cache. Java checks it against its own build and the jars, and goes without it
if it does not match.
"""

from __future__ import annotations

import fcntl
import hashlib
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def archive_path(java: Path, jars: Path) -> Path:
    """Return the file of the archive, whether or not it exists. Another Java has another one."""
    program = java.resolve()
    identity = f"{program} {program.stat().st_mtime_ns}"
    return jars.with_name(f"{jars.name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.jsa")


def use_flags(archive: Path) -> list[str]:
    """Return the flags of Java that read the archive, if it can be used."""
    return [f"-XX:SharedArchiveFile={archive}", "-Xshare:auto"]


@cache
def ensure_archive(archive: Path, make: Callable[[Path], None]) -> Path | None:
    """Return the archive. Make it if needed; concurrent callers wait for that.

    A process tries this once. If `make` leaves no file, brokers start without one.

    Args:
        archive: the file of the archive.
        make: run a broker that writes its classes to the path that it is given.
    """
    if archive.exists():
        return archive
    with archive.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            # In the same folder as the target, so that the rename is atomic and a part is never used.
            with tempfile.TemporaryDirectory(prefix="classes-", dir=archive.parent) as folder:
                made = Path(folder) / archive.name
                make(made)
                if made.exists():
                    made.rename(archive)
    return archive if archive.exists() else None
