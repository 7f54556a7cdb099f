"""What must hold of any log: the last section but one of the rules, over thousands of random logs."""

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
"""Tracks that lag by more than the idle timeout: what windows are revised for."""

logs = noise() | feeds() | late_feeds
seeds = st.integers(0, 2**32 - 1)


def thousands(cases: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a property over so many cases, the same ones on every machine."""
    limits = settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    return lambda test: pytest.mark.timeout(900)(limits(test))


def chance_of(seed: int) -> Random:
    """Return the chance of one case."""
    return Random(seed)  # noqa: S311 (a test's dice, no secret)


def first_issues(decisions: Iterable[Decision]) -> list[ClosedWindow]:
    """Return the windows as they were when they closed."""
    return [window for window in windows_of(decisions) if window.revision == 0]


@thousands(800)
@given(configs(bounded=True), logs, seeds)
def test_a_log_read_again_in_any_chunks_decides_the_same(
    config: AlignConfig, entries: Sequence[Entry], seed: int
) -> None:
    """The same decisions in the same order, to the last field of the state."""
    once, again = replay(config, entries), replay(config, entries, chance_of(seed))

    assert again == once


@thousands(1000)
@given(configs(bounded=True), logs, seeds)
def test_a_log_read_while_it_grows_decides_as_it_does_years_later(
    config: AlignConfig, entries: Sequence[Entry], seed: int
) -> None:
    """Live is replay, however slowly and in whatever pieces the log was read."""
    assert live(config, entries, chance_of(seed)) == replay(config, entries)


def check_that_nothing_differs(config: AlignConfig, entries: Sequence[Entry], left: World) -> None:
    """See that a world holds what one undisturbed member leaves: all of it, none twice, all finished."""
    decisions = replay(config, entries)
    results = [result for _, result in left.results]
    refused = {decision.entry.payload for decision in decisions if isinstance(decision, DeadLettered)}

    assert sorted(map(described, results)) == sorted(map(described, windows_of(decisions)))
    assert {entry.payload for entry in left.letters} == refused
    assert left.committed == left.ends(left.all_forgotten_ns)


@thousands(1500)
@given(configs(), logs, seeds)
def test_members_that_die_at_any_moment_leave_what_one_undisturbed_member_leaves(
    config: AlignConfig, entries: Sequence[Entry], seed: int
) -> None:
    """Ids, contents, states, closed_by, skipped and dead are those of the undisturbed run, and nothing comes twice."""
    check_that_nothing_differs(config, entries, disturbed(config, entries, chance_of(seed)))


@thousands(300)
@given(configs(), logs, seeds)
def test_members_that_hand_over_cleanly_are_as_one_member(
    config: AlignConfig, entries: Sequence[Entry], seed: int
) -> None:
    """All that was decided is published and committed; the next member goes on from there."""
    check_that_nothing_differs(config, entries, disturbed(config, entries, chance_of(seed), hand_over=1))


@thousands(300)
@given(configs(), feeds(skews_s=(0, -0.3, 7, -60, 400), delays_s=(0,), faults=False, sessions=1))
def test_tracks_skewed_in_event_time_by_any_amount_are_not_late_while_each_keeps_arriving(
    config: AlignConfig, entries: Sequence[Entry]
) -> None:
    """Video an hour ahead of its sound costs memory, not records."""
    assert late(replay(config, entries)) == []


@thousands(300)
@given(configs(), feeds(skews_s=(0,), delays_s=(0, 0.3, 4, 9.9), faults=False, sessions=2))
def test_tracks_delayed_by_less_than_the_idle_timeout_are_not_late(
    config: AlignConfig, entries: Sequence[Entry]
) -> None:
    """A window waits for each announced track, through changes of session too."""
    assert late(replay(config, entries)) == []


@thousands(300)
@given(configs(), logs)
def test_no_stream_holds_up_or_changes_another(config: AlignConfig, entries: Sequence[Entry]) -> None:
    """Each stream's windows close at the same moments, with the same contents, as if it had the log to itself."""
    together = by_stream(windows_of(replay(config, entries)))
    streams = {entry.stream for entry in entries if entry.stream is not None}
    alone = {stream: windows_of(replay(config, without_others(entries, stream))) for stream in streams}

    for stream in streams:
        assert list(map(contents, together.get(stream, []))) == list(map(contents, alone[stream]))


@thousands(300)
@given(configs(), noise())
def test_what_is_put_back_from_the_dead_letters_moves_nothing(config: AlignConfig, entries: Sequence[Entry]) -> None:
    """Each window closes at the same moment, with the same contents, as if nothing had been put back.

    What it revises is another result of the window.
    """
    decisions = replay(config, entries)
    untouched = replay(config, without_redriven(entries))
    media = {entry.payload for entry in entries if entry.redriven and entry.kind is Kind.MEDIA}
    refused = {decision.entry.payload for decision in decisions if isinstance(decision, DeadLettered)}

    assert list(map(contents, first_issues(decisions))) == list(map(contents, first_issues(untouched)))
    assert {entry.payload for entry in late(decisions) if entry.redriven} == media - refused


@thousands(200)
@given(configs(), logs)
def test_revisions_of_a_window_count_up_and_each_holds_all_that_came_before_it(
    config: AlignConfig, entries: Sequence[Entry]
) -> None:
    """None is left out, each adds what it says, and what a late item revises holds it in the end."""
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
    taken_up = {decision.entry.payload for decision in late_items if decision.revises}
    left = {decision.entry.payload for decision in late_items if not decision.revises}
    back = {(entry.stream, entry.session, entry.seq) for entry in entries if entry.redriven}
    replaced = {entry.payload for entry in entries if (entry.stream, entry.session, entry.seq) in back}
    assert taken_up - left - replaced <= held


def check_revision(window: ClosedWindow, before: ClosedWindow | None) -> None:
    """See that a result follows the one before it; of an empty window that was skipped there is none."""
    assert bool(window.revision) == bool(sum(window.added.values()))
    if before is None:
        assert window.revision <= 1
        return
    assert window.revision == before.revision + 1
    for modality, items in window.items.items():
        lost = set(before.items[modality]) - set(items)
        assert len(lost) <= sum(item.redriven for item in items)  # replaced by what was put back
        assert len(items) <= len(before.items[modality]) + window.added.get(modality, 0)
