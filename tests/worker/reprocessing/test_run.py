"""Reprocessing over memory: the windows of a time range are published as at first, and no others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest

from tests.worker.world import SECOND, Feed, World
from triptych.models.null import NullModel
from triptych.models.prediction import WindowPrediction
from triptych.models.window import PreparedWindow
from triptych.schemas.errors import UsageError
from triptych.schemas.names import INPUT_TOPICS, VIDEO_TOPIC, consumer_group
from triptych.schemas.records import InputRecord
from triptych.schemas.results import Result, Shed
from triptych.service.health import Health
from triptych.settings.loading import load
from triptych.transport.errors import OffsetOutOfRangeError
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Message, TopicPartition
from triptych.worker.publishing.stores.memory import MemoryStore
from triptych.worker.reprocessing.agreement import agree_on_time_range, check_group
from triptych.worker.reprocessing.offset_range import find_offset_range
from triptych.worker.reprocessing.run import ReprocessingOutcome, reprocess_with
from triptych.worker.reprocessing.scope import TimeRangeScope
from triptych.worker.reprocessing.summary import summary_lines
from triptych.worker.reprocessing.time_range import ResultSettings, TimeRange, TimeRangeRequest
from triptych.worker.reprocessing.times import TimePoint
from triptych.worker.wiring import Dependencies, open_pipeline

MakeFeed = Callable[..., Feed]
VARYING = {"published_ns", "stage_ms"}
T1 = 1_767_300_000 * SECOND
"""The arrival time of the first record: long after its event time."""
STEP = 10_000_000
"""The time between two arrivals."""


class Past(World):
    """A world whose clock is set by the test, so that records arrive at known times."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = T1
        self.transport = MemoryTransport(clock_ns=lambda: self.now_ns)

    def send(self, records: Sequence[InputRecord]) -> None:  # type: ignore[override]
        """Send records that arrive one every `STEP`."""
        for record in records:
            super().send([record])
            self.now_ns += STEP

    def named(self, pipeline: str, **settings: object) -> Past:
        """Return another pipeline on the same topics, with its own store."""
        other = Past()
        other.now_ns = self.now_ns
        overrides = {"model.name": "null", "batch.max_delay_ms": 0, "pipeline": pipeline}
        other.transport, other.store, other.settings = (
            self.transport,
            MemoryStore(),
            load(overrides=overrides | settings, environ={}),
        )
        return other

    def dependencies(self) -> Dependencies:
        """Return the dependencies of a worker of this pipeline."""
        return Dependencies(self.transport, self.store, [self.events.append], Health())

    def reprocess(self, since_ns: int, until_ns: int | None = None, *, partial: bool = False) -> ReprocessingOutcome:
        """Reprocess a time range to its end."""
        until = None if until_ns is None else TimePoint(until_ns)
        request = TimeRangeRequest(since=TimePoint(since_ns), until=until, partial=partial)
        return reprocess_with(self.settings, request, self.dependencies(), threading.Event())


class _Slow(NullModel):
    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        time.sleep(0.02)
        return super().predict(windows)


@pytest.fixture
def past() -> Past:
    """Return an empty installation in memory whose clock is set by the test."""
    return Past()


def contents_by_id(results: Sequence[Result]) -> dict[str, dict[str, object]]:
    """Return the contents of results by id, arrival times included. Fails if an id occurs twice."""
    assert len({result.id for result in results}) == len(results)
    return {result.id: result.model_dump(exclude=VARYING) for result in results}


def test_the_whole_range_gives_the_results_of_the_first_run(past: Past, feed: MakeFeed) -> None:
    """Ids and contents are equal, on the topic and in the store. The first pipeline does not change."""
    past.send([*feed("city").play(10), *feed("hall").play(6)])
    past.work()
    before = past.results()

    again = past.named("again")
    outcome = again.reprocess(T1)

    assert outcome.state == "done"
    assert (outcome.summary.windows, outcome.summary.streams) == (8, 2)
    assert contents_by_id(again.results()) == contents_by_id(before)
    assert len(again.store.results("city")) == 5
    assert past.results() == before


def test_reprocessing_ignores_the_overload_policy(past: Past, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Overload handling is for live feeds: by its measure every old record is too late."""
    past.send(feed("city").play(60))
    again = past.named("again", **{"worker.overload": "skip", "worker.overload_limit_ms": 100, "batch.max_windows": 1})
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: _Slow(again.spec))

    assert again.reprocess(T1).state == "done"

    assert len(again.results()) == 30
    assert all(result.shed == Shed() for result in again.results())


def test_adjacent_ranges_partition_the_windows(past: Past, feed: MakeFeed) -> None:
    """Wherever the arrival times are split, each window is published by exactly one range, with all of its contents."""
    films = [feed("city").play(16), feed("hall", start_s=100).play(16, ended=False)]
    past.send([record for pair in zip(*films, strict=False) for record in pair])
    past.work()
    whole = contents_by_id(past.results())
    end_ns = past.now_ns + 3_600 * SECOND  # long enough for the stream without an end to become idle
    for number, share in enumerate((0.31, 0.5, 0.77)):
        cut_ns = T1 + round((past.now_ns - T1) * share) // STEP * STEP
        first, second = past.named(f"first-{number}"), past.named(f"second-{number}")
        first.reprocess(T1, cut_ns)
        second.reprocess(cut_ns, end_ns)
        one, other = contents_by_id(first.results()), contents_by_id(second.results())
        assert one
        assert other
        assert not one.keys() & other.keys()
        assert one | other == whole


def test_an_idle_stream_closes_at_its_original_arrival_time(past: Past, feed: MakeFeed) -> None:
    """A stream without an end becomes idle after ten seconds of arrival time. Until then its last window stays open."""
    past.send(feed("city").play(5, ended=False))
    stopped_ns = past.now_ns
    past.work()

    early, late = past.named("early"), past.named("late")
    outcome = early.reprocess(T1, stopped_ns + 9 * SECOND)
    late.reprocess(T1, stopped_ns + 11 * SECOND)

    assert outcome.open_streams == ("city",)
    assert outcome.state == "done"
    assert [result.closed_by for result in early.results()] == ["progress"] * 2
    assert contents_by_id(late.results()) == contents_by_id(past.results())
    assert late.results()[-1].closed_by in {"idle", "quiet"}


def test_a_range_can_be_reprocessed_with_another_window_size(past: Past, feed: MakeFeed) -> None:
    """Ten seconds of media give ten windows of one second."""
    past.send(feed("city").play(10))
    halves = past.named("halves", **{"window.size_ms": 1_000})
    halves.reprocess(T1)
    assert [result.end_ns - result.start_ns for result in halves.results()] == [SECOND] * 10


def test_an_undecodable_record_of_the_lead_is_not_dead_lettered(past: Past, feed: MakeFeed) -> None:
    """Only records that arrived in the range are."""
    garbage = Message(VIDEO_TOPIC, b"city", b"not an image")
    past.send_raw(garbage)
    past.now_ns += SECOND
    from_ns = past.now_ns
    past.send_raw(garbage)
    past.send(feed("city").play(4))
    again = past.named("again")
    again.reprocess(from_ns)
    assert [letter.offset for letter in again.letters()] == [1]
    assert len(again.results()) == 2


def open_scope(world: Past, since_ns: int, stop: threading.Event) -> tuple[TimeRangeScope, Dependencies]:
    """Return the scope and the dependencies of a worker that begins or continues a reprocessing."""
    stored = check_group(world.transport, world.settings.pipeline, 6)
    result_settings = ResultSettings(window_ns=2 * SECOND, hop_ns=2 * SECOND, model="null")
    time_range = stored.time_range or TimeRange(
        from_ns=since_ns, until_ns=world.now_ns + SECOND, lead_ns=0, result_settings=result_settings
    )
    offsets = find_offset_range(world.transport, time_range, 6)
    is_stored = stored.time_range is not None
    scope = TimeRangeScope(
        world.transport,
        time_range,
        offsets,
        is_stored=is_stored,
        when_out_of_range="stop",
        clock_margin_ns=STEP * 10,
        stop=stop,
    )
    return scope, world.dependencies()


def test_a_reprocessing_continues_after_workers_die(past: Past, feed: MakeFeed) -> None:
    """Each worker dies after some steps. In the end every window is published once, and a repeated run does nothing."""
    past.send([record for name in ("city", "hall", "yard") for record in feed(name).play(12)])
    past.work()
    again = past.named("again", **{"worker.commit_interval_ms": 1})
    request = TimeRangeRequest(since=TimePoint(T1), until=TimePoint(past.now_ns + SECOND))
    for steps in (1, 2, 3, 5, 8):
        scope, dependencies = open_scope(again, T1, threading.Event())
        with open_pipeline(again.settings, dependencies, scope) as worker:
            for _ in range(steps):
                worker.step()
    outcome = again.reprocess(T1, past.now_ns + SECOND)
    assert outcome.state == "done"
    assert contents_by_id(again.results()) == contents_by_id(past.results())
    published = len(again.results())
    repeated = reprocess_with(again.settings, request, again.dependencies(), threading.Event())
    assert repeated.state == "done before"
    assert repeated.summary == outcome.summary
    assert len(again.results()) == published


def test_a_signal_stops_a_reprocessing_and_the_same_command_continues_it(past: Past, feed: MakeFeed) -> None:
    """Stopped before it began, it publishes nothing and reports that. The next run completes it."""
    past.send(feed("city").play(4))
    again = past.named("again")
    stop = threading.Event()
    stop.set()
    request = TimeRangeRequest(since=TimePoint(T1))
    assert reprocess_with(again.settings, request, again.dependencies(), stop).state == "stopped"
    assert not again.results()
    outcome = again.reprocess(T1)
    assert outcome.state == "done"
    assert summary_lines(outcome.summary, "again", "mine") == [
        "again: 2 windows of 1 stream, from 2026-01-01T00:00:00Z to 2026-01-01T00:00:04Z of event time",
        "Compare them: triptych diff mine again",
    ]


def test_workers_that_start_together_agree_on_one_range(past: Past, feed: MakeFeed) -> None:
    """Each resolves another end. The range that the owner of partition 0 commits holds for both."""
    past.send([record for name in ("city", "hall", "yard", "lane", "roof") for record in feed(name).play(8)])
    past.work()
    again = past.named("again")
    one, dependencies = open_scope(again, T1, threading.Event())
    past.now_ns += 1_000 * SECOND
    again.now_ns = past.now_ns
    other, _ = open_scope(again, T1, threading.Event())
    assert one.time_range != other.time_range
    reports = []

    def run(scope: TimeRangeScope) -> None:
        with open_pipeline(again.settings, dependencies, scope) as worker:
            worker.run(threading.Event(), until_end=lambda: True)
            assert scope.consumer is not None
            scope.consumer.mark_done()
            reports.append(scope.time_range)

    threads = [threading.Thread(target=run, args=(scope,)) for scope in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(reports) == 2
    assert reports[0] == reports[1]
    assert check_group(past.transport, "again", 6).done
    assert contents_by_id(again.results()) == contents_by_id(past.results())


def test_the_range_of_the_first_owner_of_partition_0_holds_for_the_next(past: Past) -> None:
    """Even if the first owner died right after the commit and the next one resolves another range."""
    result_settings = ResultSettings(window_ns=2 * SECOND, hop_ns=2 * SECOND, model="null")
    ranges = [TimeRange(from_ns=T1, until_ns=T1 + more, lead_ns=0, result_settings=result_settings) for more in (1, 2)]
    agreed = []
    for time_range in ranges:
        with closing(past.transport.group_consumer(INPUT_TOPICS, "again")) as consumer:
            agreed.append(agree_on_time_range(consumer, time_range, 0, threading.Event()))
    assert agreed == [ranges[0], ranges[0]]


def test_a_live_pipeline_cannot_be_reprocessed_into(past: Past, feed: MakeFeed) -> None:
    """Its commits do not change. And a live worker cannot join a group that reprocesses."""
    past.send(feed("city").play(4))
    past.work()
    tps = [TopicPartition(topic, partition) for topic in INPUT_TOPICS for partition in range(6)]

    def commits() -> object:
        with closing(past.transport.group_consumer(INPUT_TOPICS, consumer_group("triptych"))) as consumer:
            return consumer.committed(tps)

    before = commits()
    with pytest.raises(UsageError, match="as a live pipeline"):
        past.reprocess(T1)
    assert commits() == before

    again = past.named("again")
    again.reprocess(T1)
    with pytest.raises(UsageError, match="reprocesses 2026-01-01T20:40:00Z to"):
        again.work()


def test_a_pipeline_with_foreign_results_is_rejected(past: Past, feed: MakeFeed) -> None:
    """Even if the group that made them has expired."""
    past.send(feed("city").play(4))
    again = past.named("again")
    again.send_raw(Message("again.results", b"city", b"{}"))
    with pytest.raises(UsageError, match=r"again\.results has results"):
        again.reprocess(T1)


def test_a_range_without_records_is_rejected(past: Past, feed: MakeFeed) -> None:
    """The user most likely means times of the media."""
    past.send(feed("city").play(4))
    with pytest.raises(UsageError, match="arrival times"):
        past.named("again").reprocess(T1 - 3_600 * SECOND, T1 - 60 * SECOND)


def test_a_range_with_a_deleted_beginning_needs_partial(past: Past, feed: MakeFeed) -> None:
    """The message names the partitions that have no records from before the range."""
    past.send(feed("city").play(10))
    partition = past.results_partition("city")
    with closing(past.transport.admin()) as admin:
        admin.delete_records({TopicPartition(topic, partition): 4 for topic in INPUT_TOPICS})
    with pytest.raises(OffsetOutOfRangeError, match=r"hold nothing from before 2026.*--partial"):
        past.named("again").reprocess(T1)
    partial = past.named("partial")
    partial.reprocess(T1, partial=True)
    assert partial.results()
    rest = past.named("rest")
    rest.reprocess(past.now_ns - 10 * STEP)
    assert rest.results()
