"""The tables at the end of a measurement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.bounds.backlog import GB, CaughtUp
from benchmarks.bounds.backlog import check as check_backlog
from benchmarks.bounds.churn import Churned
from benchmarks.bounds.churn import check as check_churn
from benchmarks.bounds.plot import plot
from benchmarks.bounds.soak import Soaked
from benchmarks.bounds.soak import check as check_soak
from benchmarks.bounds.watch import Sample, write_csv


def tell_soak(soaked: Soaked, console: Console, to: Path | None) -> int:
    """Print what a soak found, keep it where asked to; return 1 where something is not as it should be."""
    settled = soaked.settled
    first, last = settled[0], settled[-1]
    table = _table(
        f"{soaked.hours:g} h of {soaked.streams} streams: {soaked.records} records, {last.results} results, "
        f"in {soaked.took_s / 60:.1f} min",
        ("", "after warm-up", "at the end", "most"),
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
    console.print(f"Resident memory grows by {soaked.growth_mb:+.3f} MB an hour of media after the warm-up.")
    title = f"{soaked.hours:g} hours of {soaked.streams} streams in {soaked.took_s / 60:.0f} minutes"
    return _end(check_soak(soaked), console, to, "soak", soaked.samples, title=title, unit="hours of media")


def tell_backlog(done: CaughtUp, console: Console, to: Path | None) -> int:
    """Print what came of a backlog; return 1 where something is not as it should be."""
    last = done.samples[-1]
    table = _table(
        f"{done.bytes / GB:.2f} GB in {done.records} records of {done.wish.streams} streams, model {done.wish.model}",
        ("", "value"),
    )
    for name, value in (
        ("replay, s", f"{done.took_s:.0f}"),
        ("records/s", f"{done.records / done.took_s:.0f}"),
        ("windows", f"{done.windows}"),
        ("bound: 6 partition numbers, MB", f"{done.bound_mb:.0f}"),
        ("warm worker at work, MB", f"{done.warm.peak_mb:.1f}"),
        ("peak, MB", f"{last.peak_mb:.1f}"),
        ("peak less warm, MB", f"{done.more_mb:.1f}"),
        ("of the bound", f"{done.more_mb / done.bound_mb:.2f}"),
        ("most held by its own count, MB", f"{max(sample.held_mb for sample in done.samples):.1f}"),
        ("late records", f"{last.late}"),
        ("windows closed at a bound", f"{last.bound}"),
    ):
        table.add_row(name, value)
    console.print(table)
    return _end(check_backlog(done), console, to, "backlog", done.samples, title="A backlog", unit="seconds")


def tell_churn(done: Churned, console: Console, to: Path | None) -> int:
    """Print what came of churn; return 1 where something is not as it should be."""
    title = f"{len(done.rounds)} times {done.feeds} feeds, {done.windows} windows, in {done.took_s / 60:.1f} min"
    table = _table(title, ("after round", "RSS, MB", "threads", "files", "streams known", "Redis keys", "late"))
    for number, look in enumerate(done.rounds, 1):
        values = (look.threads, look.files, look.streams, look.redis_keys, look.late)
        table.add_row(str(number), f"{look.rss_mb:.1f}", *map(str, values))
    console.print(table)
    console.print(f"Resident memory grows by {done.growth_mb:+.2f} MB a round after the first.")
    return _end(check_churn(done), console, to, "churn", done.samples, title=title, unit="round")


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(columns):
        table.add_column(name, justify="right" if number else "left")
    return table


def _end(
    troubles: Sequence[str],
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
    for trouble in troubles:
        console.print(f"NOT AS IT SHOULD BE: {trouble}", style="red", markup=False)
    if not troubles:
        console.print("All is as it should be.", style="green")
    return 1 if troubles else 0
