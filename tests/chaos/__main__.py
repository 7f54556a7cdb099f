"""Chaos: two workers under load while servers, workers and connections fail; then every window is looked for.

    python -m tests.chaos --minutes 3 --seed 7

Three Kafka brokers (three replicas, two of which must have a record), a Redis that keeps what it acknowledged, real
programs, nothing faked. What was published is compared, window by window, with what a worker says that reads the same
records again and is not disturbed. The exit code is 1 where anything is lost, differs, or is given twice.
"""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import sys
import tempfile
from pathlib import Path

import structlog
from rich.console import Console

from tests.chaos.faulty_worker import BUGS
from tests.chaos.report import report
from tests.chaos.trial import AT_LEAST_ONCE, DELIVERIES, Wishes, run
from tools.devservers import MissingProgramError


def main() -> int:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="how long faults are done (3)")
    parser.add_argument("--seed", type=int, default=None, help="of chance; a new one each time if not given")
    parser.add_argument("--delivery", choices=DELIVERIES, default=AT_LEAST_ONCE, help=f"({AT_LEAST_ONCE})")
    parser.add_argument("--pause", type=float, default=1.0, help="makes the pauses between faults so much longer (1)")
    parser.add_argument("--bug", choices=BUGS, default=None, help="a bug in the workers, to see it found")
    given = parser.parse_args()
    seed = random.randrange(1_000_000) if given.seed is None else given.seed  # noqa: S311 - to be repeated
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # servers are away: we know
    folder = Path(tempfile.mkdtemp(prefix="triptych-chaos-"))
    console = Console(width=120, soft_wrap=True)
    outcome = run(
        folder, Wishes(given.minutes, seed, given.delivery, given.bug, given.pause), lambda line: _tell(console, line)
    )
    exit_code = report(outcome, console)
    if exit_code == 0:
        shutil.rmtree(folder)
    else:
        console.print(f"What the programs said lies in {folder}", markup=False)
    return exit_code


def _tell(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MissingProgramError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
