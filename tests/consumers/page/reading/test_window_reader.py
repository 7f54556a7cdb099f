"""A window is found again in the topic, however many results lie between the first and the last that it may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.consumers.page.conftest import PagePipeline
from triptych.consumers.page.problems import PageProblemError
from triptych.consumers.page.reading import window_reader
from triptych.consumers.page.reading.byte_cache import ByteCache
from triptych.consumers.page.reading.window_reader import WindowReader, WindowWanted, window_wanted
from triptych.consumers.page.state.seen_window import ResultPlace, merged, seen_window
from triptych.consumers.subscription.log_reading import read_range
from triptych.schemas.names import results_topic
from triptych.schemas.results import Result
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Record, TopicPartition
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics

if TYPE_CHECKING:
    from tests.consumers.conftest import MakeResult

WINDOWS = 30


class MergedFeed:
    """A feed whose windows the page remembers as one. Those of another feed lie between them in its partition."""

    def __init__(self, make_result: MakeResult) -> None:
        self.transport = MemoryTransport(partitions=1)
        self.make_result = make_result
        create_topics(self.transport.admin(), "triptych", TopicSettings("", partitions=1, replication=1))
        published = [make_result(number, feed) for number in range(WINDOWS) for feed in ("city", "dock")]
        revised = published[20]
        published.append(Result(**(dict(revised) | {"id": f"{revised.window}/1", "revision": 1})))
        PagePipeline(self.transport, make_result).publish(*published)
        self.results = [result for result in published if result.stream == "city"]
        places = ((offset, result) for offset, result in enumerate(published) if result.stream == "city")
        self.row = merged([seen_window(result, ResultPlace(0, offset)) for offset, result in places])
        self.reader = WindowReader(self.transport, "triptych", ByteCache(1_000))

    def wanted(self, result: Result) -> WindowWanted:
        """Return the request for a window of the feed."""
        return window_wanted("city", result.start_ns, result.end_ns, self.row, None)


@pytest.fixture
def feed(make_result: MakeResult, monkeypatch: pytest.MonkeyPatch) -> MergedFeed:
    """A feed; its results are read seven at a time."""
    monkeypatch.setattr(window_reader, "_RESULTS_AT_ONCE", 7)
    return MergedFeed(make_result)


def test_each_window_of_a_merged_row_is_found_in_its_newest_revision(feed: MergedFeed) -> None:
    """Also the first of them, behind many others."""
    newest = {result.window: result.id for result in feed.results}
    assert len(newest) == WINDOWS
    for result in feed.results:
        assert feed.reader.result(feed.wanted(result)).result.id == newest[result.window]


def test_a_window_that_is_looked_for_in_vain_is_not_called_deleted(
    feed: MergedFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a limit nothing is read for one request, and the answer says so."""
    monkeypatch.setattr(window_reader, "_MOST_RESULTS", 10)
    assert feed.reader.result(feed.wanted(feed.results[-2])).result.id == feed.results[-2].id
    with pytest.raises(PageProblemError, match="not among the last 10 of 61 results"):
        feed.reader.result(feed.wanted(feed.results[0]))


def test_a_window_that_retention_deleted_is_gone(feed: MergedFeed) -> None:
    """With all that lie between."""
    feed.transport.admin().delete_records({TopicPartition(results_topic("triptych"), 0): 40})
    with pytest.raises(PageProblemError, match="any more"):
        feed.reader.result(feed.wanted(feed.results[0]))


def test_invented_windows_are_read_for_once(feed: MergedFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each another one. Those that are there are still found, and so is one that is published later."""
    reads: list[object] = []

    def counted(*args: Any) -> Iterator[Record]:  # noqa: ANN401 - passed on
        reads.append(args)
        return read_range(*args)

    monkeypatch.setattr(window_reader, "read_range", counted)
    real = feed.wanted(feed.results[3])
    for more_ns in range(1, 50):
        with pytest.raises(PageProblemError, match="no result of window"):
            feed.reader.result(replace(real, end_ns=real.end_ns + more_ns))
    assert len(reads) == -(-(2 * WINDOWS + 1) // 7)
    assert feed.reader.result(real).result.id == feed.results[3].id
    late = feed.make_result(WINDOWS, "city")
    PagePipeline(feed.transport, feed.make_result).publish(late)
    first, last = real.offsets
    with pytest.raises(PageProblemError, match="no result of window"):
        feed.reader.result(feed.wanted(late))
    assert feed.reader.result(replace(feed.wanted(late), offsets=(first, last + 1))).result.id == late.id
