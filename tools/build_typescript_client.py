"""Compile the client in `examples/typescript`: `python3 -m tools.build_typescript_client`. Needs no Python package."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path
from typing import Final

from tools.build_page import REPOSITORY, PageBuildError, install_packages, run_command

_CLIENT: Final = Path("examples/typescript")


def build_typescript_client(repository: Path = REPOSITORY, *, lint: bool = False) -> Path:
    """Check the types of the client and compile it. Blocks; uses the network the first time.

    Args:
        repository: the source tree.
        lint: whether to check its style too.

    Returns:
        The program `main.js`.

    Raises:
        PageBuildError: npm is missing, or a step failed; the message has its output.
    """
    client = repository / _CLIENT
    with (client / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests in several processes build at the same time
        install_packages(client)
        programs = client / "node_modules" / ".bin"
        run_command([str(programs / "tsc")], client)
        if lint:
            run_command([str(programs / "biome"), "check", "--error-on-warnings", "."], client)
    return client / "dist" / "main.js"


if __name__ == "__main__":
    try:
        build_typescript_client(lint="--lint" in sys.argv[1:])
    except PageBuildError as error:
        sys.exit(str(error))
