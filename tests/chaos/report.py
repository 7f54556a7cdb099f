"""The table at the end of a chaos run, and whether all is as it should be."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.chaos.crew import EXIT_AWAY
from tests.chaos.judgement import Recovery, Verdict
from tests.chaos.trial import AT_LEAST_ONCE, Outcome, Wishes

_MB: Final = 1_000_000
_SHOWN: Final = 5
_TOPIC: Final = "in the results topic"


def report(outcome: Outcome, console: Console) -> int:
    """Print what was found; return 1 where something is not as it should be."""
    console.print(_table(outcome))
    troubles = list(find_troubles(outcome))
    for trouble in troubles:
        console.print(f"NOT AS IT SHOULD BE: {trouble}", style="red", markup=False)
    if troubles:
        console.print(f"The same again: {command(outcome.wishes)}", markup=False)
        return 1
    console.print("Nothing is lost, nothing differs, no subscriber saw a window twice.", style="green")
    return 0


def command(wishes: Wishes) -> str:
    """Return the command that makes the same run."""
    wanted = f"make chaos MINUTES={wishes.minutes:g} SEED={wishes.seed} DELIVERY={wishes.delivery}"
    more = [f"PAUSE={wishes.pause:g}"] if wishes.pause != 1 else []
    more += [] if wishes.bug is None else [f"BUG={wishes.bug}"]
    return " ".join((wanted, *more))


def find_troubles(outcome: Outcome) -> Iterator[str]:
    """Name everything that is not as it should be."""
    for verdict in outcome.verdicts:
        yield from _verdict_troubles(verdict, outcome.wishes.delivery)
    letters = outcome.letters
    if letters.expected != letters.found:
        missing, further = sorted(letters.expected - letters.found), sorted(letters.found - letters.expected)
        yield f"dead letters: missing {missing[:_SHOWN]}, not expected {further[:_SHOWN]}"
    for fall in outcome.falls:
        if fall.exit_code != EXIT_AWAY:
            yield f"a worker ended by itself with {fall.exit_code}; its last words:\n{fall.last_words}"
    for one in outcome.ended:
        if one.exit_code:
            yield f"a worker that was told to stop exited with {one.exit_code}:\n{one.err[-2_000:]}"
    for error in outcome.errors:
        yield "a fault could not be done or undone:\n" + "".join(traceback.format_exception(error))


def _verdict_troubles(verdict: Verdict, delivery: str) -> Iterator[str]:
    for what, names in (("lost", verdict.lost), ("not expected", verdict.unexpected)):
        if names:
            yield f"{verdict.place}: {len(names)} windows {what}, as {', '.join(names[:_SHOWN])}"
    for name, found in list(verdict.differing.items())[:_SHOWN]:
        first = found[0]
        yield f"{verdict.place}: {name} differs in {first.path}: {first.left!r}, and undisturbed {first.right!r}"
    if verdict.duplicated and not (verdict.place == _TOPIC and delivery == AT_LEAST_ONCE):
        yield f"{verdict.place}: {len(verdict.duplicated)} windows twice, as {', '.join(verdict.duplicated[:_SHOWN])}"


def _table(outcome: Outcome) -> Table:
    wishes = outcome.wishes
    table = Table(title=f"Chaos: {command(wishes)}", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_row("load", f"{outcome.records} records in {outcome.length_s:.0f} s", end_section=True)
    table.add_row("faults", f"{len(outcome.faults):3}; from their end until every stream is published again:")
    for recovery in outcome.recoveries:
        table.add_row(f"  {recovery.kind}", f"{recovery.faults:3}; {_took(recovery)}")
    table.add_section()
    table.add_row("windows expected", str(outcome.expected))
    for verdict in outcome.verdicts:
        table.add_row(f"  {verdict.place}", _counts(verdict))
    table.add_section()
    letters = outcome.letters
    found = f"{len(letters.expected)} expected, {len(letters.found)} found, {letters.repeated} repeated"
    table.add_row("dead letters", f"{letters.sent} poisoned records sent; {found}")
    again = sum(fall.exit_code == EXIT_AWAY for fall in outcome.falls)
    table.add_row("workers that found no server at their start", str(again))
    table.add_row("most memory of a worker", f"{outcome.peak_bytes / _MB:.0f} MB")
    return table


def _took(recovery: Recovery) -> str:
    longest = "never again" if recovery.longest_s is None else f"{recovery.longest_s:.1f} s at most"
    if recovery.median_s is None:
        return longest
    return f"{longest}; {recovery.alone} alone, {recovery.median_s:.1f} s (median)"


def _counts(verdict: Verdict) -> str:
    return (
        f"{verdict.windows} windows; lost {len(verdict.lost)}, differing {len(verdict.differing)}, "
        f"duplicated {len(verdict.duplicated)}, revised {verdict.revised}"
    )
