"""Outages, one after another: how many windows lack for ever what was sent for them. Takes about ten minutes.

    python -m tests.outages                       # all rows
    python -m tests.outages --only "broker killed" --late revise

A clip is played in a loop at its own pace, as a live feed, to a real broker and a live worker. The exit code is 1 if a
window is lost, hollow or wrong, apart from what the producer said that it shed.
"""

from __future__ import annotations

import argparse
import datetime as dt
import logging
import sys

import structlog

from tests.chaos.faulty_worker import BUGS
from tests.outages.rows import ROWS
from tests.outages.trial import Trial, run_row
from tools.devservers import MissingProgramError

_HEADER = (
    "| what was away, for | with its start | windows without what was sent | of | completed by a revision "
    "| said to be shed | back after | latest result |"
)


def main() -> int:
    """Run the rows and print the table. Return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.outages", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="run only the rows whose name begins so")
    parser.add_argument("--late", default="complete", choices=("drop", "complete", "revise"), help="align.late")
    parser.add_argument("--bug", choices=BUGS, default=None, help="inject a bug into the worker")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    _write(f"{dt.datetime.now(tz=dt.UTC):%Y-%m-%d %H:%M} UTC, python -m tests.outages {_given()}")
    _write(_HEADER)
    _write("|---|---|---|---|---|---|---|---|")
    trials = []
    for row in ROWS:
        if row.name.startswith(arguments.only):
            trials.append(run_row(row, bug=arguments.bug, late=arguments.late))
            _write(_line(trials[-1]))
    for trial in trials:
        for fault in (*trial.truth.unsaid, *map(str, trial.truth.faults)):
            _write(f"{trial.row.name}: {fault}")
    return 0 if all(trial.truth.is_true for trial in trials) else 1


def _given() -> str:
    return " ".join(sys.argv[1:])


def _line(trial: Trial) -> str:
    truth = trial.truth
    back = "never" if trial.back_s is None else f"{trial.back_s:.1f} s"
    cells = (
        trial.row.name,
        f"{trial.away_s:.0f} s",
        len({(fault.stream, fault.start_ns) for fault in truth.faults}),
        truth.windows,
        truth.revised,
        truth.excepted,
        back,
        f"{trial.latest_s:.0f} s late",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MissingProgramError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
