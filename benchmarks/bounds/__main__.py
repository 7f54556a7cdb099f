"""How much a worker holds, whatever comes: `python -m benchmarks.bounds backlog|churn|soak --help`.

Real servers, real programs; the tables and plots of `docs/bounds.md` are made by these. The exit code is 1 where
something is not as it should be.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from benchmarks.bounds import report
from benchmarks.bounds.backlog import Wish, catch_up, settings_of
from benchmarks.bounds.churn import churn
from benchmarks.bounds.place import open_place
from benchmarks.bounds.soak import soak
from tools.devservers import MissingProgramError


def main() -> int:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bounds", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="null", help="the worker's model: null, or base with its weights (null)")
    parser.add_argument("--to", type=Path, help="a folder for the plot and the samples as CSV")
    commands = parser.add_subparsers(dest="command", required=True)
    soaking = commands.add_parser("soak", help="hours of media as fast as the worker follows")
    soaking.add_argument("--hours", type=float, default=24.0, help="of media (24)")
    soaking.add_argument("--streams", type=int, default=8, help="at once (8)")
    replaying = commands.add_parser("backlog", help="gigabytes whose tracks are far apart in event time")
    replaying.add_argument("--gigabytes", type=float, default=10.0, help="to be replayed (10)")
    replaying.add_argument("--streams", type=int, default=8, help="at once (8)")
    replaying.add_argument("--partition-mib", type=int, default=16, help="align.partition_max_bytes, in MiB (16)")
    replaying.add_argument("--limit", type=float, default=3_600.0, help="seconds that the replay may take (3600)")
    churning = commands.add_parser("churn", help="feeds that come, speak for three windows, and go")
    churning.add_argument("--feeds", type=int, default=1_000, help="in a round (1000)")
    churning.add_argument("--rounds", type=int, default=10, help="one after another (10)")
    wishes = parser.parse_args()
    console = Console(width=120)
    if wishes.to is not None:
        wishes.to.mkdir(parents=True, exist_ok=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False)

    match wishes.command:
        case "soak":
            soaked = soak(wishes.hours, wishes.streams, wishes.model, say)
            return report.tell_soak(soaked, console, wishes.to)
        case "backlog":
            wish = Wish(wishes.gigabytes, wishes.streams, wishes.partition_mib, wishes.model, wishes.limit)
            with open_place(wish.model, settings_of(wish)) as place:
                done = catch_up(wish, place, say)
            return report.tell_backlog(done, console, wishes.to)
        case _:
            return report.tell_churn(churn(wishes.feeds, wishes.rounds, wishes.model, say), console, wishes.to)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MissingProgramError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
