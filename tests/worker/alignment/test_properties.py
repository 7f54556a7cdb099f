"""The properties in `docs/alignment.md`, checked on thousands of random logs."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.worker.alignment.logs import configs, feeds, noise, without_others, without_redriven
from tests.worker.alignment.script import late
from tests.worker.alignment.simulation import (
    World,
    by_stream,
    contents,
    described,
    disturbed,
    live,
    replay,
    windows_of,
)
from triptych.worker.alignment.decisions import ClosedWindow, DeadLettered, Decision, Forgotten, LateItem
from triptych.worker.alignment.entry import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from triptych.worker.alignment.config import AlignConfig
    from triptych.worker.alignment.entry import Entry

late_feeds = feeds(skews_s=(0, 0.3), delays_s=(0, 0, 12, 15, 25), faults=False, sessions=1)
"""Tracks that lag by more than the idle timeout, so that windows are revised."""

logs = noise() | feeds() | late_feeds
seeds = st.integers(0, 2**32 - 1)


def thousands(cases: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a property with `cases` examples, the same on every machine."""
    limits = settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    return lambda test: pytest.mark.timeout(900)(limits(test))


def chance_of(seed: int) -> Random:
    """Return the random generator of one example."""
    return Random(seed)  # noqa: S311 (not for cryptography)


def first_results(decisions: Iterable[Decision]) -> list[ClosedWindow]:
    """Return the first result of each window."""
    return [window for window in windows_of(decisions) if window.revision == 0]


@thousands(800)
@given(configs(bounded=True), logs, seeds)
def test_reading_a_log_in_any_batches_gives_the_same_decisions(
    config: AlignConfig, entries: Sequence[Entry], seed: int
) -> None:
    """In the same order, with equal snapshots."""
    once, again = replay(config, entries), replay(config, entries, chance_of(seed))

    assert again == once


@thousands(1000)
@given(configs(bounded=True), logs, seeds)
def test_a_live_run_gives_the_same_decisions_as_a_replay(
    config: AlignConfig, entries: Sequence[Entry], seed: int
) -> None:
    """However slowly and in whatever batches the log is read."""
    assert live(config, entries, chance_of(seed)) == replay(config, entries)


def check_same_as_undisturbed(config: AlignConfig, entries: Sequence[Entry], left: World) -> None:
    """Check that a world has the results of one undisturbed member: all, none twice, all records finished."""
    decisions = replay(config, entries)
    results = [result for _, result in left.results]
    dead_lettered = {decision.entry.payload for decision in decisions if isinstance(decision, DeadLettered)}

    assert sorted(map(described, results)) == sorted(map(described, windows_of(decisions)))
    assert {entry.payload for entry in left.letters} == dead_lettered
    assert left.committed == left.ends(left.all_forgotten_ns)


@thousands(1500)
@given(configs(), logs, seeds)
def test_members_that_crash_at_any_time_leave_the_results_of_one_undisturbed_member(
    config: AlignConfig, entries: Sequence[Entry], seed: int
) -> None:
    """Ids, contents, states, `closed_by`, `skipped` and `dead` are equal, and no result is published twice."""
    check_same_as_undisturbed(config, entries, disturbed(config, entries, chance_of(seed)))


@thousands(300)
@given(configs(), logs, seeds)
def test_clean_handovers_leave_the_results_of_one_member(
    config: AlignConfig, entries: Sequence[Entry], seed: int
) -> None:
    """Each member publishes and commits all its decisions. The next one continues from there."""
    check_same_as_undisturbed(config, entries, disturbed(config, entries, chance_of(seed), hand_over=1))


@thousands(300)
@given(configs(), feeds(skews_s=(0, -0.3, 7, -60, 400), delays_s=(0,), faults=False, sessions=1))
def test_tracks_with_any_skew_in_event_time_are_not_late_while_each_keeps_arriving(
    config: AlignConfig, entries: Sequence[Entry]
) -> None:
    """Video that is far ahead of its audio costs memory, not records."""
    assert late(replay(config, entries)) == []


@thousands(300)
@given(configs(), feeds(skews_s=(0,), delays_s=(0, 0.3, 4, 9.9), faults=False, sessions=2))
def test_tracks_delayed_by_less_than_the_idle_timeout_are_not_late(
    config: AlignConfig, entries: Sequence[Entry]
) -> None:
    """A window waits for each announced track, also across sessions."""
    assert late(replay(config, entries)) == []


@thousands(300)
@given(configs(), logs)
def test_no_stream_delays_or_changes_another(config: AlignConfig, entries: Sequence[Entry]) -> None:
    """The windows of a stream close at the same times with the same contents as if it were alone in the log."""
    together = by_stream(windows_of(replay(config, entries)))
    streams = {entry.stream for entry in entries if entry.stream is not None}
    alone = {stream: windows_of(replay(config, without_others(entries, stream))) for stream in streams}

    for stream in streams:
        assert list(map(contents, together.get(stream, []))) == list(map(contents, alone[stream]))


@thousands(300)
@given(configs(), noise())
def test_redriven_records_change_windows_only_by_revisions(config: AlignConfig, entries: Sequence[Entry]) -> None:
    """Each window closes at the same time with the same contents as if no record were redriven."""
    decisions = replay(config, entries)
    untouched = replay(config, without_redriven(entries))
    media = {entry.payload for entry in entries if entry.redriven and entry.kind is Kind.MEDIA}
    dead_lettered = {decision.entry.payload for decision in decisions if isinstance(decision, DeadLettered)}

    assert list(map(contents, first_results(decisions))) == list(map(contents, first_results(untouched)))
    assert {entry.payload for entry in late(decisions) if entry.redriven} == media - dead_lettered


@thousands(200)
@given(configs(), logs)
def test_revisions_are_numbered_consecutively_and_keep_the_items_of_the_previous_one(
    config: AlignConfig, entries: Sequence[Entry]
) -> None:
    """Each adds the number of items that it has in `added`, and each late item that revises is in a result."""
    decisions = replay(config, entries)
    newest: dict[tuple[str, int], ClosedWindow] = {}
    held: set[object] = set()
    for decision in decisions:
        if isinstance(decision, Forgotten):
            newest = {window: result for window, result in newest.items() if window[0] != decision.stream}
        if isinstance(decision, ClosedWindow):
            held |= {item.payload for items in decision.items.values() for item in items}
            before = newest.get((decision.stream, decision.start_ns))
            newest[decision.stream, decision.start_ns] = decision
            check_revision(decision, before)

    late_items = [decision for decision in decisions if isinstance(decision, LateItem)]
    revising = {decision.entry.payload for decision in late_items if decision.revises}
    not_revising = {decision.entry.payload for decision in late_items if not decision.revises}
    redriven = {(entry.stream, entry.session, entry.seq) for entry in entries if entry.redriven}
    replaced = {entry.payload for entry in entries if (entry.stream, entry.session, entry.seq) in redriven}
    assert revising - not_revising - replaced <= held


def check_revision(window: ClosedWindow, before: ClosedWindow | None) -> None:
    """Check a result against the previous one of its window. A skipped empty window has none."""
    assert bool(window.revision) == bool(sum(window.added.values()))
    if before is None:
        assert window.revision <= 1
        return
    assert window.revision == before.revision + 1
    for modality, items in window.items.items():
        lost = set(before.items[modality]) - set(items)
        assert len(lost) <= sum(item.redriven for item in items)  # replaced by redriven records
        assert len(items) <= len(before.items[modality]) + window.added.get(modality, 0)
