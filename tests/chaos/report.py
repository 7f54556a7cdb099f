"""The report of a chaos test."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.chaos.comparison import Recovery, ResultComparison
from tests.chaos.experiment import AT_LEAST_ONCE, ChaosOptions, Outcome
from tests.chaos.truth import FaultKind, TruthComparison
from tests.chaos.workers import EXIT_UNAVAILABLE

_MB: Final = 1_000_000
_SHOWN: Final = 5
_TOPIC: Final = "in the results topic"
_KINDS: Final[tuple[FaultKind, ...]] = ("lost", "hollow", "wrong")


def report(outcome: Outcome, console: Console) -> int:
    """Print the outcome. Return 1 if there are problems, otherwise 0."""
    console.print(_table(outcome))
    problems = list(find_problems(outcome))
    for problem in problems:
        console.print(f"PROBLEM: {problem}", style="red", markup=False)
    if problems:
        console.print(f"To repeat this run: {command(outcome.options)}", markup=False)
        return 1
    console.print(
        "No result is lost, differs or lacks what was sent, and no subscriber received a window twice.", style="green"
    )
    return 0


def command(options: ChaosOptions) -> str:
    """Return the command that repeats a run."""
    wanted = f"make chaos MINUTES={options.minutes:g} SEED={options.seed} DELIVERY={options.delivery}"
    more = [f"PAUSE={options.pause:g}"] if options.pause != 1 else []
    more += [] if options.away_s is None else [f"AWAY={options.away_s:g}"]
    more += [] if options.client == "auto" else [f"CLIENT={options.client}"]
    more += [] if options.bug is None else [f"BUG={options.bug}"]
    return " ".join((wanted, *more))


def find_problems(outcome: Outcome) -> Iterator[str]:
    """Yield a description of each problem."""
    for comparison in outcome.comparisons:
        yield from _comparison_problems(comparison, outcome.options.delivery)
    yield from truth_problems(outcome.truth)
    dead_letters = outcome.dead_letters
    if dead_letters.expected != dead_letters.found:
        missing, further = (
            sorted(dead_letters.expected - dead_letters.found),
            sorted(dead_letters.found - dead_letters.expected),
        )
        yield f"dead letters: missing {missing[:_SHOWN]}, not expected {further[:_SHOWN]}"
    for unexpected in outcome.unexpected_exits:
        if unexpected.exit_code != EXIT_UNAVAILABLE:
            yield f"a worker exited unexpectedly with {unexpected.exit_code}; its stderr:\n{unexpected.stderr_tail}"
    for one in outcome.ended:
        if one.exit_code:
            yield f"{' '.join(one.args[:2])} exited on request with {one.exit_code}:\n{one.err[-2_000:]}"
    for error in outcome.errors:
        yield "a fault could not be caused or repaired:\n" + "".join(traceback.format_exception(error))


def truth_problems(truth: TruthComparison) -> Iterator[str]:
    """Yield what the final windows lack of what was sent, and what they have that was not."""
    for kind in _KINDS:
        faults = [fault for fault in truth.faults if fault.kind == kind]
        if faults:
            yield f"{truth.count(kind)} windows are {kind}, compared with what was sent, such as:"
        yield from map(str, faults[:_SHOWN])
    yield from truth.unsaid


def _comparison_problems(comparison: ResultComparison, delivery: str) -> Iterator[str]:
    for what, names in (("lost", comparison.lost), ("not expected", comparison.unexpected)):
        if names:
            yield f"{comparison.place}: {len(names)} windows {what}, such as {', '.join(names[:_SHOWN])}"
    for name, found in list(comparison.differing.items())[:_SHOWN]:
        first = found[0]
        yield f"{comparison.place}: {name} differs in {first.path}: {first.left!r}, and undisturbed {first.right!r}"
    if comparison.duplicated and not (comparison.place == _TOPIC and delivery == AT_LEAST_ONCE):
        duplicated = comparison.duplicated
        yield f"{comparison.place}: {len(duplicated)} duplicated windows, such as {', '.join(duplicated[:_SHOWN])}"


def _table(outcome: Outcome) -> Table:
    options = outcome.options
    table = Table(title=f"Chaos: {command(options)}", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("load", f"{outcome.records} records in {outcome.length_s:.0f} s", end_section=True)
    table.add_row("faults", f"{len(outcome.faults):3}; time from their end until all streams publish again:")
    for recovery in outcome.recoveries:
        table.add_row(f"  {recovery.kind}", f"{recovery.faults:3}; {_took(recovery)}")
    table.add_section()
    table.add_row("windows expected", str(outcome.expected))
    for comparison in outcome.comparisons:
        table.add_row(f"  {comparison.place}", _counts(comparison))
    truth = outcome.truth
    table.add_row(
        "windows compared with what was sent",
        f"{truth.windows} windows; lost {truth.count('lost')}, hollow {truth.count('hollow')}, "
        f"wrong {truth.count('wrong')}",
    )
    table.add_row("  pictures, chunks and cues sent", f"{truth.items}; {truth.excepted} of them said to be shed")
    table.add_section()
    dead_letters = outcome.dead_letters
    found = f"{len(dead_letters.expected)} expected, {len(dead_letters.found)} found, {dead_letters.repeated} repeated"
    table.add_row("dead letters", f"{dead_letters.sent} poisoned records sent; {found}")
    again = sum(unexpected.exit_code == EXIT_UNAVAILABLE for unexpected in outcome.unexpected_exits)
    table.add_row("workers that found a server unavailable at startup", str(again))
    table.add_row("peak memory of a worker", f"{outcome.peak_bytes / _MB:.0f} MB")
    return table


def _took(recovery: Recovery) -> str:
    longest = "never again" if recovery.longest_s is None else f"{recovery.longest_s:.1f} s at most"
    if recovery.median_s is None:
        return longest
    return f"{longest}; {recovery.alone} alone, {recovery.median_s:.1f} s (median)"


def _counts(comparison: ResultComparison) -> str:
    return (
        f"{comparison.windows} windows; lost {len(comparison.lost)}, differing {len(comparison.differing)}, "
        f"duplicated {len(comparison.duplicated)}, "
        f"revised {comparison.revised}, another number of times {len(comparison.otherwise)}"
    )
