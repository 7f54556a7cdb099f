"""`python -m benchmarks.page_tasks --runs 5`: what three tasks cost a user of the page, and one of Frigate.

Needs Debian's chromium, and the built page (`make page`).
"""

from __future__ import annotations

import statistics
from typing import Annotated

import typer

from benchmarks.page_load.load_run import chromium
from benchmarks.page_tasks.frigate_tasks import FRIGATE_TASKS
from benchmarks.page_tasks.keystroke_model import TaskStep, effort
from benchmarks.page_tasks.page_tasks import PAGE_TASKS, run_task

_HEAD = ("task", "way", "clicks", "keys", "operators", "user s", "machine s: median (least to most)")


def main(
    *,
    runs: Annotated[int, typer.Option(min=1, help="How often each task is done, each time on a new page.")] = 5,
    steps: Annotated[bool, typer.Option("--steps", help="Print each step, with the median of its wait.")] = False,
) -> None:
    """Do the tasks and print a row of a table for each way."""
    typer.echo(_row(_HEAD))
    typer.echo(_row(["---"] * len(_HEAD)))
    with chromium() as browser:
        for task in PAGE_TASKS:
            taken = [run_task(task, browser) for _ in range(runs)]
            cost = effort(taken[0])
            waits = [effort(run).wait_s for run in taken]
            wait = f"{statistics.median(waits):.2f} ({min(waits):.2f} to {max(waits):.2f}), n {runs}"
            typer.echo(
                _row(
                    [task.task, f"page: {task.way}", cost.clicks, cost.keys, cost.operators, f"{cost.user_s:.1f}", wait]
                )
            )
            if steps:
                _print_steps(taken)
    for other in FRIGATE_TASKS:
        cost = effort(other.steps)
        wait = f"not measured; {cost.wait_s:.1f} of its code" if cost.wait_s else "not measured"
        typer.echo(
            _row(
                [
                    other.task,
                    f"Frigate: {other.way}",
                    cost.clicks,
                    cost.keys,
                    cost.operators,
                    f"{cost.user_s:.1f}",
                    wait,
                ]
            )
        )
        if steps:
            _print_steps([list(other.steps)])
            typer.echo(f"    {other.limits} ({', '.join(other.sources)})")


def _row(cells: list[object] | tuple[object, ...]) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _print_steps(runs: list[list[TaskStep]]) -> None:
    for same in zip(*runs, strict=True):
        wait_s = statistics.median(step.wait_s for step in same)
        typer.echo(f"    {same[0].operators:<12} {wait_s:6.3f} s  {same[0].action}")


if __name__ == "__main__":
    typer.run(main)
