"""`python -m benchmarks.page_load --feeds 200 --seconds 600`: the wall under load in a real Chromium.

It prints frames a second, the slope of the browser's heap, and how late the event loops come. Feeds, server and worker
threads share one process of Python; the browser has its own. Needs Debian's chromium, and the built page (`make page`).
"""

from __future__ import annotations

from typing import Annotated

import typer

from benchmarks.page_load.load_run import LoadOptions, chromium, run_load


def main(
    *,
    feeds: Annotated[
        int, typer.Option(min=1, max=1_000, help="How many feeds, with a window every two seconds.")
    ] = 200,
    seconds: Annotated[float, typer.Option(min=4, help="How long to measure.")] = 600.0,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds before the first measurement.")] = 30.0,
) -> None:
    """Measure the page under load."""
    with chromium() as browser:
        report = run_load(LoadOptions(feeds, seconds, warm_up), browser)
    for line in report.lines():
        typer.echo(line)


if __name__ == "__main__":
    typer.run(main)
