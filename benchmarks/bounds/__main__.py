"""Measurements of the resources of a worker: `python -m benchmarks.bounds backlog|churn|soak --help`.

They run real servers and programs, and produce the tables and plots of `docs/bounds.md`. The exit code is 1 if a
measurement finds a problem.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.bounds import report
from benchmarks.bounds.backlog import BacklogOptions, replay_backlog, settings_of
from benchmarks.bounds.churn import churn
from benchmarks.bounds.servers import open_servers
from benchmarks.bounds.soak import soak
from tools.devservers import MissingProgramError


def main() -> int:
    """Run the measurement that the command line names. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bounds", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="null", help="model of the worker: null, or base with its weights (null)")
    parser.add_argument("--to", type=Path, help="folder for the plot and the samples as CSV")
    commands = parser.add_subparsers(dest="command", required=True)
    soaking = commands.add_parser("soak", help="play hours of media as fast as the worker can process them")
    soaking.add_argument("--hours", type=float, default=24.0, help="hours of media (24)")
    soaking.add_argument("--streams", type=int, default=8, help="at once (8)")
    soaking.add_argument("--minutes", type=float, help="maximum duration of the run")
    replaying = commands.add_parser("backlog", help="replay gigabytes of tracks that are far apart in event time")
    replaying.add_argument("--gigabytes", type=float, default=10.0, help="size of the backlog (10)")
    replaying.add_argument("--streams", type=int, default=8, help="at once (8)")
    replaying.add_argument("--partition-mib", type=int, default=16, help="align.partition_max_bytes, in MiB (16)")
    replaying.add_argument("--picture-kb", type=int, default=40, help="size of a frame in kB (40)")
    replaying.add_argument("--limit", type=float, default=3_600.0, help="time limit of the replay in seconds (3600)")
    churning = commands.add_parser("churn", help="start and end many feeds of three windows each")
    churning.add_argument("--feeds", type=int, default=1_000, help="feeds per round (1000)")
    churning.add_argument("--rounds", type=int, default=10, help="number of rounds (10)")
    arguments = parser.parse_args()
    console = Console(width=120)
    if arguments.to is not None:
        arguments.to.mkdir(parents=True, exist_ok=True)

    def write_line(line: str) -> None:
        console.print(line, highlight=False, markup=False)

    match arguments.command:
        case "soak":
            result = soak(arguments.hours, arguments.streams, arguments.model, write_line, minutes=arguments.minutes)
            return report.report_soak(result, console, arguments.to)
        case "backlog":
            options = BacklogOptions(
                gigabytes=arguments.gigabytes,
                streams=arguments.streams,
                partition_mib=arguments.partition_mib,
                model=arguments.model,
                limit_s=arguments.limit,
                image_bytes=arguments.picture_kb * 1_000,
            )
            with open_servers(options.model, settings_of(options)) as servers:
                done = replay_backlog(options, servers, write_line)
            return report.report_backlog(done, console, arguments.to)
        case _:
            churned = churn(arguments.feeds, arguments.rounds, arguments.model, write_line)
            return report.report_churn(churned, console, arguments.to)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MissingProgramError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
