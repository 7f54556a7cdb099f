"""The properties in `docs/alignment.md`, checked on thousands of random logs."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.worker.alignment.logs import (
    EPOCH_S,
    Outage,
    configs,
    feeds,
    interrupted,
    noise,
    outages,
    with_outage,
    without_others,
    without_redriven,
)
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
from triptych.units import NS_PER_MS, NS_PER_S
from triptych.worker.alignment.decisions import ClosedWindow, DeadLettered, Decision, Forgotten, LateItem
from triptych.worker.alignment.entry import READING_ORDER, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from triptych.schemas.names import Modality
    from triptych.worker.alignment.config import AlignConfig
    from triptych.worker.alignment.entry import Entry

late_feeds = feeds(skews_s=(0, 0.3), delays_s=(0, 0, 12, 15, 25), faults=False, sessions=1)
"""Tracks that lag by more than the idle timeout, so that windows are revised."""

logs = noise() | feeds() | late_feeds | interrupted()
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


steady_feeds = feeds(skews_s=(0, 0.3), delays_s=(0, 0.01, 0.5), faults=False, sessions=1)
"""Producers that keep up, each with one session."""


@thousands(500)
@given(configs(), steady_feeds, outages(longest_s=55), st.sampled_from((None, *READING_ORDER)))
def test_every_window_of_an_outage_ends_with_what_the_media_have(
    config: AlignConfig, entries: Sequence[Entry], outage: Outage, alone: Modality | None
) -> None:
    """The producers keep their records, and the backlogs arrive topic by topic, or one topic is away `alone`.

    The last result of each window has the items that it has without the outage. (An outage longer than `stream_ttl`
    ends the stream, so that its ids may come again. For a stream that begins in an outage, the first track that arrives
    decides where its windows begin.)
    """
    begun_ns = round((EPOCH_S + outage.begins_s) * NS_PER_S)
    begun = frozenset(entry.stream for entry in entries if entry.stream and entry.arrival_ns < begun_ns)
    outage = replace(outage, streams=begun)
    config = replace(config, allowed_lateness_ns=None, complete_within_ns=600 * NS_PER_S, stream_ttl_ns=100 * NS_PER_S)
    if alone is not None:
        outage = replace(outage, back_after_s={alone: 0})
    decisions = replay(config, with_outage(entries, outage))
    truth = replay(config, entries)

    assert [decision for decision in decisions if isinstance(decision, LateItem) and not decision.revises] == []
    assert items_of(decisions) == items_of(truth)


@thousands(300)
@given(configs(), steady_feeds, st.sampled_from((12, 20, 40, 55)), st.permutations((0, 0.5, 6)))
def test_after_a_silence_that_all_share_only_the_window_that_was_open_is_issued_again(
    config: AlignConfig, entries: Sequence[Entry], lasts_s: float, back_after_s: Sequence[float]
) -> None:
    """Whatever the order in which the topics bring what was held back, within the heard time."""
    config = replace(
        config,
        allowed_lateness_ns=None,
        complete_within_ns=600 * NS_PER_S,
        stream_ttl_ns=100 * NS_PER_S,
        pause_ns=2_500 * NS_PER_MS,
    )
    outage = Outage(begins_s=3, lasts_s=lasts_s, back_after_s=dict(zip(READING_ORDER, back_after_s, strict=True)))
    decisions = replay(config, with_outage(entries, outage))
    open_at_most = -(-config.size_ns // config.hop_ns) + 1  # windows that overlap the beginning of the silence

    for results in by_stream(windows_of(decisions)).values():
        again = {window.start_ns for window in results if window.revision}
        assert len(again) <= open_at_most
        assert {window.closed_by for window in results if window.revision} <= {"quiet"}


def items_of(decisions: Iterable[Decision]) -> dict[tuple[str, int], frozenset[tuple[str, int]]]:
    """Return the items of the last result of each window that has any: modality and event time."""
    last = {(window.stream, window.start_ns): window for window in windows_of(decisions)}
    items = {
        name: frozenset((item.modality, item.start_ns) for items in window.items.values() for item in items)
        for name, window in last.items()
    }
    return {name: found for name, found in items.items() if found}


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
