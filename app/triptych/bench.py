"""The command `triptych bench`: the benchmarks of a checkout.

They are not shipped: they measure beside servers and peers that a checkout starts and installs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from triptych.schemas.errors import UsageError

_MODULE: Final = "benchmarks"


def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME...", help="Benchmarks, such as `decode` or `road`. Without any: all."),
    ] = None,
    *,
    rounds: Annotated[int, typer.Option(metavar="N", min=1, help="Rounds that are counted.")] = 3,
    small: Annotated[bool, typer.Option("--small", help="A small amount of work, to see that it runs.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Append the figures, a line for each benchmark.")
    ] = None,
) -> None:
    """Measure parts of Triptych, each beside its limit in the same run. Needs a checkout as working folder.

    `make bench` measures all of them, compiled modules too, and writes docs/performance.md.
    """
    folder = Path.cwd()
    if not (folder / _MODULE / "__main__.py").is_file():
        raise UsageError(
            f"bench: expected a checkout of Triptych as working folder, got {folder}; benchmarks are not part of the "
            "installed package"
        )
    options = ["--rounds", str(rounds), *(["--small"] if small else [])]
    options += [] if json_file is None else ["--json", str(json_file)]
    command = [sys.executable, "-m", _MODULE, *(names or ()), *options]
    environ = os.environ | {"TRIPTYCH_BENCH_PROGRAM": "triptych bench"}
    done = subprocess.run(command, check=False, env=environ)  # noqa: S603 - this Python, without a shell
    raise typer.Exit(done.returncode)
