"""The reports of the measurements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.bounds.backlog import GB, BacklogResult
from benchmarks.bounds.backlog import check as check_backlog
from benchmarks.bounds.churn import ChurnResult
from benchmarks.bounds.churn import check as check_churn
from benchmarks.bounds.plot import plot
from benchmarks.bounds.soak import SoakResult
from benchmarks.bounds.soak import check as check_soak
from benchmarks.bounds.watch import Sample, write_csv


def report_soak(result: SoakResult, console: Console, to: Path | None) -> int:
    """Print the result of a soak, and save it in `to`. Return 1 if there are problems, otherwise 0."""
    settled = result.settled
    first, last = settled[0], settled[-1]
    table = _table(
        f"{result.hours:g} h of {result.streams} streams: {result.records} records, {last.results} results, "
        f"in {result.took_s / 60:.1f} min",
        ("", "after warm-up", "at the end", "maximum"),
    )
    for name, field in (
        ("resident memory, MB", "rss_mb"),
        ("threads", "threads"),
        ("open files", "files"),
        ("Redis keys", "redis_keys"),
        ("Redis memory, MB", "redis_mb"),
        ("lag, s", "lag_s"),
    ):
        most = max(getattr(sample, field) for sample in settled)
        table.add_row(name, *(f"{value:g}" for value in (
            round(getattr(first, field), 1), round(getattr(last, field), 1), round(most, 1),
        )))  # fmt: skip
    console.print(table)
    console.print(f"Resident memory grows by {result.growth_mb:+.3f} MB per hour of media after the warm-up.")
    title = f"{result.hours:g} hours of {result.streams} streams in {result.took_s / 60:.0f} minutes"
    return _finish(check_soak(result), console, to, "soak", result.samples, title=title, unit="hours of media")


def report_backlog(done: BacklogResult, console: Console, to: Path | None) -> int:
    """Print the result of a backlog, and save it in `to`. Return 1 if there are problems, otherwise 0."""
    last = done.samples[-1]
    table = _table(
        f"{done.bytes / GB:.2f} GB in {done.records} records of {done.options.streams} streams, "
        f"model {done.options.model}",
        ("", "value"),
    )
    for name, value in (
        ("replay, s", f"{done.took_s:.0f}"),
        ("records/s", f"{done.records / done.took_s:.0f}"),
        ("windows", f"{done.windows}"),
        ("limit for 6 partitions, MB", f"{done.limit_mb:.0f}"),
        ("warm worker, MB", f"{done.warm.peak_mb:.1f}"),
        ("peak, MB", f"{last.peak_mb:.1f}"),
        ("peak minus warm worker, MB", f"{done.above_warm_mb:.1f}"),
        ("share of the limit", f"{done.above_warm_mb / done.limit_mb:.2f}"),
        ("maximum of triptych_held_bytes, MB", f"{max(sample.held_mb for sample in done.samples):.1f}"),
        ("late records", f"{last.late}"),
        ("windows closed at a byte limit", f"{last.bound}"),
    ):
        table.add_row(name, value)
    console.print(table)
    return _finish(check_backlog(done), console, to, "backlog", done.samples, title="A backlog", unit="seconds")


def report_churn(done: ChurnResult, console: Console, to: Path | None) -> int:
    """Print the result of churn, and save it in `to`. Return 1 if there are problems, otherwise 0."""
    title = f"{len(done.rounds)} times {done.feeds} feeds, {done.windows} windows, in {done.took_s / 60:.1f} min"
    table = _table(title, ("after round", "RSS, MB", "threads", "files", "streams in memory", "Redis keys", "late"))
    for number, sample in enumerate(done.rounds, 1):
        values = (sample.threads, sample.files, sample.streams, sample.redis_keys, sample.late)
        table.add_row(str(number), f"{sample.rss_mb:.1f}", *map(str, values))
    console.print(table)
    console.print(f"Resident memory grows by {done.growth_mb:+.2f} MB per round after the first.")
    return _finish(check_churn(done), console, to, "churn", done.samples, title=title, unit="round")


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    return table


def _finish(
    problems: Sequence[str],
    console: Console,
    to: Path | None,
    name: str,
    samples: Sequence[Sample],
    *,
    title: str,
    unit: str,
) -> int:
    if to is not None:
        plot(samples, to / f"{name}.png", title=title, unit=unit)
        write_csv(to / f"{name}.csv", samples)
    for problem in problems:
        console.print(f"PROBLEM: {problem}", style="red", markup=False)
    if not problems:
        console.print("No problems found.", style="green")
    return 1 if problems else 0
