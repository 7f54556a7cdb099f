"""Chaos test: two workers under load while servers, workers and connections fail; then every window is checked.

    python -m tests.chaos --minutes 3 --seed 7

It uses three Kafka brokers (three replicas, `min.insync.replicas` 2), a Redis server that syncs each write to disk, and
real programs. The published results are compared, window by window, with those of an undisturbed worker that reads the
same records afterwards, and with what the producers sent. The exit code is 1 if a result is lost, differs, lacks what
was sent for it, or is delivered twice.
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

from tests.chaos.experiment import AT_LEAST_ONCE, AWAY_SHARE, DELIVERIES, MOST_AWAY_S, ChaosOptions, run
from tests.chaos.faulty_worker import BUGS
from tests.chaos.report import report
from tools.devservers import MissingProgramError


def main() -> int:
    """Run the chaos test with the arguments of the command line. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="duration of the faults (3)")
    parser.add_argument("--seed", type=int, default=None, help="random seed (by default a new one for each run)")
    parser.add_argument(
        "--delivery",
        choices=DELIVERIES,
        default=AT_LEAST_ONCE,
        help=f"delivery guarantee of the workers ({AT_LEAST_ONCE})",
    )
    parser.add_argument("--pause", type=float, default=1.0, help="factor for the pauses between faults (1)")
    parser.add_argument(
        "--away",
        type=float,
        default=None,
        help=f"seconds for which all workers are away ({MOST_AWAY_S:g}, or {AWAY_SHARE:.0%} of a short run)".replace(
            "%", "%%"
        ),
    )
    parser.add_argument(
        "--client",
        choices=("auto", "kafka-python", "librdkafka"),
        default="auto",
        help="the Kafka client of the programs (auto)",
    )
    parser.add_argument(
        "--dashboards",
        type=Path,
        metavar="FOLDER",
        default=None,
        help="scrape all programs with Prometheus, and draw the dashboards into this folder",
    )
    parser.add_argument(
        "--bug", choices=BUGS, default=None, help="inject a bug into the workers, to verify that it is found"
    )
    arguments = parser.parse_args()
    seed = random.randrange(1_000_000) if arguments.seed is None else arguments.seed  # noqa: S311 - for reproducible tests
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR)
    )  # warnings about unavailable servers are expected
    folder = Path(tempfile.mkdtemp(prefix="triptych-chaos-"))
    console = Console(width=120, soft_wrap=True)
    outcome = run(
        folder,
        ChaosOptions(
            arguments.minutes,
            seed,
            arguments.delivery,
            arguments.bug,
            arguments.pause,
            arguments.away,
            arguments.client,
            arguments.dashboards,
        ),
        lambda line: _write_line(console, line),
    )
    exit_code = report(outcome, console)
    if exit_code == 0:
        shutil.rmtree(folder)
    else:
        console.print(f"The output of the programs is in {folder}", markup=False)
    return exit_code


def _write_line(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MissingProgramError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
