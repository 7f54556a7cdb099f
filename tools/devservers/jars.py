"""Apache Kafka's jars, copied once by Maven into the user's cache."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.devservers.requirements import require

VERSION = "4.4.0"
POM = Path(__file__).with_name("pom.xml")


def jars_folder() -> Path:
    """Return the folder of the jars, whether or not it exists."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "triptych" / f"kafka-{VERSION}"


def kafka_jars() -> Path:
    """Return the folder of the jars. Fetch them if needed; concurrent callers wait for that."""
    folder = jars_folder()
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    # In the same folder as the target, so that the rename is atomic and a failed download is never used.
    fresh = Path(tempfile.mkdtemp(prefix="kafka-", dir=folder.parent))
    try:
        _copy_with_maven(fresh)
        fresh.chmod(0o755)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _copy_with_maven(folder: Path) -> None:
    maven = require("mvn", "fetching Apache Kafka")
    command = [maven, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"Maven could not fetch Apache Kafka {VERSION}:\n{done.stdout}{done.stderr}")
