"""The windows of one feed: bounded, revised, found again, and fewer where there are too many to draw."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from triptych.consumers.page.state.feed_history import FeedHistory, downsampled
from triptych.units import NS_PER_S

if TYPE_CHECKING:
    from tests.consumers.page.state.conftest import ReadAs

DAY_NS = 86_400 * NS_PER_S
WINDOWS_PER_MINUTE = 30


def test_a_day_of_windows_takes_bounded_memory(read_as: ReadAs) -> None:
    """The newest are kept one by one, older ones by the minute, and what is older than a day is forgotten."""
    history, limit = FeedHistory(max_age_ns=3_600 * NS_PER_S), 100
    windows = 3 * 60 * WINDOWS_PER_MINUTE // 2  # ninety minutes
    first = read_as(0).window
    for number in range(windows):
        history.add(read_as(number).window, limit=limit)
        assert len(history) <= 61 + limit + 32
    assert history.oldest_ns is not None
    assert history.newest_ns is not None
    assert 3_500 * NS_PER_S <= history.newest_ns - history.oldest_ns <= 3_660 * NS_PER_S
    covered = history.range(first.start_ns, history.newest_ns)
    assert sum(window.windows for window in covered) == (history.newest_ns - history.oldest_ns) // (2 * NS_PER_S)
    assert all(earlier.to_ns == later.from_ns for earlier, later in pairwise(covered))


def test_a_revision_replaces_its_window_and_knows_the_earlier_ones(read_as: ReadAs) -> None:
    """Whichever comes first."""
    history = FeedHistory(max_age_ns=DAY_NS)
    history.add(read_as(0).window, limit=100)
    history.add(read_as(1).window, limit=100)
    history.add(read_as(0, revision=2, fire=0.9).window, limit=100)
    history.add(read_as(0, revision=1).window, limit=100)
    first = history.range(0, 2**62)[0]
    assert (first.revision, first.matches) == (2, {"fire": 0.9})
    assert [revision[0] for revision in first.revised] == [0, 1, 2]
    assert len(history) == 2


def test_a_window_is_found_by_its_time(read_as: ReadAs) -> None:
    """Exactly."""
    history = FeedHistory(max_age_ns=DAY_NS)
    window = read_as(3).window
    history.add(window, limit=100)
    assert history.find(window.start_ns, window.end_ns) is window
    assert history.find(window.start_ns, window.end_ns + 1) is None
    assert history.find(window.start_ns + 1, window.end_ns) is None


def test_the_range_has_each_window_that_overlaps_it(read_as: ReadAs) -> None:
    """Also one that begins before it."""
    history = FeedHistory(max_age_ns=DAY_NS)
    windows = [read_as(number).window for number in range(5)]
    for window in windows:
        history.add(window, limit=100)
    assert history.range(windows[1].start_ns + 1, windows[3].start_ns) == windows[1:3]
    assert history.range(windows[4].end_ns, windows[4].end_ns + 1) == []
    assert [window.start_ns for window in history.before(windows[2].start_ns)] == [
        windows[1].start_ns,
        windows[0].start_ns,
    ]


def test_many_windows_become_as_many_as_there_are_points(read_as: ReadAs) -> None:
    """None is lost, and a peak stays."""
    windows = [read_as(number, novelty=1.5 if number == 77 else 0.0).window for number in range(300)]
    few = downsampled(windows, windows[0].start_ns, windows[-1].end_ns, 10)
    assert len(few) == 10
    assert sum(window.windows for window in few) == 300
    assert max(window.novelty or 0.0 for window in few) == 1.5
    assert downsampled(windows[:10], windows[0].start_ns, windows[9].end_ns, 10) == windows[:10]
