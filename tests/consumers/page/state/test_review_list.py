"""Matches and alerts as events: grouped, answered, and the same after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.consumers.alerts.event_tracker import EventLimits
from triptych.consumers.page.state.review_list import ReviewEntry, ReviewLimits, ReviewList
from triptych.units import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.consumers.page.state.conftest import ReadAs
    from triptych.consumers.page.state.feed_state import ReadResult


def add(reviews: ReviewList, read: Iterable[ReadResult]) -> list[ReviewEntry]:
    """Take results; return what changed with the last one."""
    changed: list[ReviewEntry] = []
    for one in read:
        changed = reviews.add(one.result, one.window, one.rules)
    return changed


def test_windows_in_a_row_are_one_event(read_as: ReadAs) -> None:
    """Shown by the one that matches best."""
    reviews = ReviewList(ReviewLimits())
    [event] = add(reviews, [read_as(0, fire=0.1), read_as(1, fire=0.6), read_as(2, fire=0.9), read_as(3, fire=0.7)])
    best = read_as(2).window
    assert (event.windows, event.score, event.best.window_id) == (3, 0.9, best.window_id)
    assert (event.first_ns, event.last_ns) == (read_as(1).window.start_ns, read_as(3).window.end_ns)
    assert not event.is_over
    [ended] = add(reviews, [read_as(4, fire=0.2)])
    assert ended is event
    assert event.is_over
    assert add(reviews, [read_as(5, fire=0.2)]) == []


def test_a_gap_ends_an_event_and_begins_another(read_as: ReadAs) -> None:
    """A feed that was away for a minute may show another fire."""
    reviews = ReviewList(ReviewLimits())
    ended, begun = add(reviews, [read_as(0, fire=0.9), read_as(30, fire=0.9)])
    assert (ended.is_over, begun.is_over, len(reviews)) == (True, False, 2)


def test_hold_and_cool_down_group_as_those_of_alerts_do(read_as: ReadAs) -> None:
    """A match that is short is no event, and one that flickers is one."""
    events = EventLimits(hold_ns=4 * NS_PER_S, cool_down_ns=20 * NS_PER_S)
    reviews = ReviewList(ReviewLimits(events=events))
    assert add(reviews, [read_as(0, fire=0.9), read_as(1, fire=0.0)]) == []
    [event] = add(reviews, [read_as(2, fire=0.9), read_as(3, fire=0.9)])
    assert (event.first_ns, event.windows) == (read_as(2).window.start_ns, 2)
    add(reviews, [read_as(4, fire=0.0), read_as(5, fire=0.9), read_as(6, fire=0.9), read_as(7, fire=0.9)])
    assert len(reviews) == 1


def test_prompts_and_feeds_do_not_disturb_each_other(read_as: ReadAs) -> None:
    """And a rule is an event of its own, which takes no answer."""
    reviews = ReviewList(ReviewLimits())
    add(reviews, [read_as(0, "a", fire=0.9), read_as(0, "b", fire=0.9), read_as(1, "a", fire=0.9)])
    add(reviews, [read_as(2, "a", fire=0.1, rules=(("speech > .5", True),))])
    assert [(event.kind, event.feed, event.windows) for event in reviews.newest_first()] == [
        ("alert", "a", 1),
        ("match", "b", 1),
        ("match", "a", 2),
    ]


def test_an_answer_belongs_to_the_event_with_its_window(read_as: ReadAs) -> None:
    """Whether it comes before or after the results: after a restart the page reads both anew, in any order."""
    results = [read_as(0, fire=0.9), read_as(1, fire=0.9), read_as(2, fire=0.0), read_as(3, fire=0.9)]
    before, after = ReviewList(ReviewLimits()), ReviewList(ReviewLimits())
    before.answer("city", "fire", results[1].window.start_ns, "no")
    add(before, results)
    add(after, results)
    [answered] = after.answer("city", "fire", results[1].window.start_ns, "no")
    assert answered.answer == "no"
    assert [event.answer for event in before.newest_first()] == [None, "no"]
    assert [(event.id, event.answer) for event in before.newest_first()] == [
        (event.id, event.answer) for event in after.newest_first()
    ]
    assert after.answer("city", "fire", results[1].window.start_ns, "no") == []
    [changed] = after.answer("city", "fire", results[1].window.start_ns, "yes")
    assert changed.answer == "yes"


def test_a_repeated_result_changes_nothing(read_as: ReadAs) -> None:
    """A worker may publish a result twice, as a new record."""
    reviews = ReviewList(ReviewLimits())
    add(reviews, [read_as(0, fire=0.9), read_as(1, fire=0.9)])
    assert add(reviews, [read_as(0, fire=0.9), read_as(1, fire=0.9)]) == []
    [event] = reviews.newest_first()
    assert event.windows == 2


def test_a_revision_replaces_the_window_that_is_shown(read_as: ReadAs) -> None:
    """It begins and ends no event."""
    reviews = ReviewList(ReviewLimits())
    add(reviews, [read_as(0, fire=0.9)])
    revised = read_as(0, revision=1, fire=0.2)
    [event] = add(reviews, [revised])
    assert event.best is revised.window
    assert not event.is_over
    assert add(reviews, [read_as(9, revision=1, fire=0.9)]) == []


def test_the_oldest_events_are_forgotten_first(read_as: ReadAs) -> None:
    """And counted."""
    reviews = ReviewList(ReviewLimits(kept=3))
    add(reviews, [read_as(number, fire=0.9 if number % 2 else 0.0) for number in range(20)])
    assert (len(reviews), reviews.forgotten) == (3, 7)
    assert reviews.answer("city", "fire", read_as(1).window.start_ns, "yes") == []


def test_an_event_of_a_feed_that_has_ended_is_over(read_as: ReadAs) -> None:
    """With its last window. A feed that is started again without a gap goes on with it, as for alerts."""
    reviews = ReviewList(ReviewLimits())
    [event] = add(reviews, [read_as(0, fire=0.9), read_as(1, fire=0.9, closed_by="end")])
    assert (event.is_over, event.windows) == (True, 2)
    [same] = add(reviews, [read_as(2, fire=0.9)])
    assert same is event
    assert (event.is_over, event.windows) == (False, 3)


def test_an_event_of_a_prompt_that_was_removed_is_over(read_as: ReadAs) -> None:
    """The feed is not asked for it any more, and nothing is kept of it."""
    reviews = ReviewList(ReviewLimits())
    add(reviews, [read_as(0, fire=0.9, rules=(("speech > .5", True),))])
    ended = add(reviews, [read_as(1)])
    assert [(event.kind, event.is_over) for event in ended] == [("alert", True), ("match", True)]
    assert add(reviews, [read_as(2)]) == []
    assert (len(reviews._runs), reviews._running) == (0, {})  # noqa: SLF001 - what is kept


def test_what_holds_is_bounded_and_ends_with_its_feed(read_as: ReadAs) -> None:
    """Feeds come and go, and many end without saying so."""
    reviews = ReviewList(ReviewLimits(runs=3))
    for number in range(10):
        changed = add(reviews, [read_as(0, f"feed-{number}", fire=0.9)])
    assert [(event.feed, event.is_over) for event in changed] == [("feed-6", True), ("feed-9", False)]
    assert len(reviews._runs) == 3  # noqa: SLF001 - what is kept
    [ended] = reviews.forget_feed("feed-8")
    assert ended.is_over
    assert reviews.forget_feed("feed-8") == []
    assert set(reviews._running) == {"feed-7", "feed-9"}  # noqa: SLF001 - what is kept
