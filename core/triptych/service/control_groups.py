"""Files of the control groups (version 1 or 2) that this process belongs to. A container limits a process by them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def control_group_files(root: Path, *, controller: str, version_2: str, version_1: str) -> Iterator[Path]:
    """Yield the files that may hold a limit: of the group of this process and of all groups above it.

    A container may see its own group as the root of the hierarchy, while `/proc/self/cgroup` names it as the host does.

    Args:
        root: the root of the file system.
        controller: name of the controller in version 1, such as `memory`.
        version_2: name of the file in version 2.
        version_1: name of the file in version 1.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, group = line.split(":", 2)
        if number == "0" and not controllers:
            folder, name = root / "sys/fs/cgroup", version_2
        elif controller in controllers.split(","):
            folder, name = root / "sys/fs/cgroup" / controller, version_1
        else:
            continue
        path = PurePosixPath(group.lstrip("/"))
        yield from (folder / part / name for part in (path, *path.parents))
