"""Reprocessing over memory: a span's windows come out as they did at first, and no others."""

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
from triptych.worker.reprocessing.agreement import agree, look_up
from triptych.worker.reprocessing.offset_range import find_edges
from triptych.worker.reprocessing.run import Reprocessed, reprocess_in
from triptych.worker.reprocessing.scope import SpanScope
from triptych.worker.reprocessing.summary import summary_lines
from triptych.worker.reprocessing.time_range import Judge, SpanRequest, TimeRange
from triptych.worker.reprocessing.times import SpanTime
from triptych.worker.wiring import Dependencies, open_pipeline

MakeFeed = Callable[..., Feed]
VARYING = {"published_ns", "stage_ms"}
T1 = 1_767_300_000 * SECOND
"""When the first record arrives: long after what it shows."""
STEP = 10_000_000
"""From one arrival to the next."""


class Past(World):
    """A world whose records arrived at moments that the test sets."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = T1
        self.transport = MemoryTransport(clock_ns=lambda: self.now_ns)

    def send(self, records: Sequence[InputRecord]) -> None:  # type: ignore[override]
        """Let records arrive, one every `STEP`."""
        for record in records:
            super().send([record])
            self.now_ns += STEP

    def named(self, pipeline: str, **settings: object) -> Past:
        """Return another pipeline over the same topics, with a store of its own."""
        other = Past()
        other.now_ns = self.now_ns
        overrides = {"model.name": "null", "batch.max_delay_ms": 0, "pipeline": pipeline}
        other.transport, other.store, other.settings = (
            self.transport,
            MemoryStore(),
            load(overrides=overrides | settings, environ={}),
        )
        return other

    def around(self) -> Dependencies:
        """Return where a worker of this pipeline runs."""
        return Dependencies(self.transport, self.store, [self.events.append], Health())

    def reprocess(self, since_ns: int, until_ns: int | None = None, *, partial: bool = False) -> Reprocessed:
        """Reprocess a span to its end."""
        until = None if until_ns is None else SpanTime(until_ns)
        request = SpanRequest(since=SpanTime(since_ns), until=until, partial=partial)
        return reprocess_in(self.settings, request, self.around(), threading.Event())


class _Slow(NullModel):
    def predict(self, windows: Sequence[PreparedWindow]) -> list[WindowPrediction]:
        time.sleep(0.02)
        return super().predict(windows)


@pytest.fixture
def past() -> Past:
    """Give an empty installation in memory whose time is the test's."""
    return Past()


def told(results: Sequence[Result]) -> dict[str, dict[str, object]]:
    """Return what results say by id, each there once; when their records arrived is the same too."""
    assert len({result.id for result in results}) == len(results)
    return {result.id: result.model_dump(exclude=VARYING) for result in results}


def test_a_whole_span_gives_what_the_first_run_gave(past: Past, feed: MakeFeed) -> None:
    """Ids and contents, in the topic and in the store, at once done; the first pipeline is as it was."""
    past.send([*feed("city").play(10), *feed("hall").play(6)])
    past.work()
    before = past.results()

    again = past.named("again")
    outcome = again.reprocess(T1)

    assert outcome.state == "done"
    assert (outcome.summary.windows, outcome.summary.streams) == (8, 2)
    assert told(again.results()) == told(before)
    assert len(again.store.results("city")) == 5
    assert past.results() == before


def test_a_span_is_judged_whole_however_long_it_takes(
    past: Past, feed: MakeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Overload is for live feeds: what arrived long ago would all be too late."""
    past.send(feed("city").play(60))
    again = past.named("again", **{"worker.overload": "skip", "worker.overload_limit_ms": 100, "batch.max_windows": 1})
    monkeypatch.setattr("triptych.worker.wiring.model_from", lambda _: _Slow(again.spec))

    assert again.reprocess(T1).state == "done"

    assert len(again.results()) == 30
    assert all(result.shed == Shed() for result in again.results())


def test_spans_that_meet_share_the_windows_out(past: Past, feed: MakeFeed) -> None:
    """Wherever a film's arrival is cut, each window is published by one span, with the whole of its contents."""
    films = [feed("city").play(16), feed("hall", start_s=100).play(16, ended=False)]
    past.send([record for pair in zip(*films, strict=False) for record in pair])
    past.work()
    whole = told(past.results())
    end_ns = past.now_ns + 3_600 * SECOND  # a stream that just stops is found to be quiet
    for number, share in enumerate((0.31, 0.5, 0.77)):
        cut_ns = T1 + round((past.now_ns - T1) * share) // STEP * STEP
        first, second = past.named(f"first-{number}"), past.named(f"second-{number}")
        first.reprocess(T1, cut_ns)
        second.reprocess(cut_ns, end_ns)
        one, other = told(first.results()), told(second.results())
        assert one
        assert other
        assert not one.keys() & other.keys()
        assert one | other == whole


def test_what_is_silent_closes_when_it_did_and_not_when_it_is_read_again(past: Past, feed: MakeFeed) -> None:
    """A stream that stops is quiet ten seconds of arrival later; until then its last window is open, not published."""
    past.send(feed("city").play(5, ended=False))
    stopped_ns = past.now_ns
    past.work()

    early, late = past.named("early"), past.named("late")
    outcome = early.reprocess(T1, stopped_ns + 9 * SECOND)
    late.reprocess(T1, stopped_ns + 11 * SECOND)

    assert outcome.open_streams == ("city",)
    assert outcome.state == "done"
    assert [result.closed_by for result in early.results()] == ["progress"] * 2
    assert told(late.results()) == told(past.results())
    assert late.results()[-1].closed_by in {"idle", "quiet"}


def test_other_windows_are_those_of_the_same_span(past: Past, feed: MakeFeed) -> None:
    """Ten seconds are ten windows of one second."""
    past.send(feed("city").play(10))
    halves = past.named("halves", **{"window.size_ms": 1_000})
    halves.reprocess(T1)
    assert [result.end_ns - result.start_ns for result in halves.results()] == [SECOND] * 10


def test_a_dead_record_of_the_lead_is_no_letter(past: Past, feed: MakeFeed) -> None:
    """Only what arrived in the span is."""
    garbage = Message(VIDEO_TOPIC, b"city", b"no picture")
    past.send_raw(garbage)
    past.now_ns += SECOND
    span_ns = past.now_ns
    past.send_raw(garbage)
    past.send(feed("city").play(4))
    again = past.named("again")
    again.reprocess(span_ns)
    assert [letter.offset for letter in again.letters()] == [1]
    assert len(again.results()) == 2


def open_span(world: Past, since_ns: int, stop: threading.Event) -> tuple[SpanScope, Dependencies]:
    """Return the scope that a worker of this pipeline would begin or go on with."""
    begun = look_up(world.transport, world.settings.pipeline, 6)
    judge = Judge(window_ns=2 * SECOND, hop_ns=2 * SECOND, model="null")
    span = begun.span or TimeRange(from_ns=since_ns, until_ns=world.now_ns + SECOND, lead_ns=0, judge=judge)
    edges = find_edges(world.transport, span, 6)
    is_noted = begun.span is not None
    scope = SpanScope(
        world.transport, span, edges, is_noted=is_noted, when_out_of_range="stop", clock_margin_ns=STEP * 10, stop=stop
    )
    return scope, world.around()


def test_workers_that_die_are_gone_on_with(past: Past, feed: MakeFeed) -> None:
    """Each turn may be the last of a worker: in the end there is everything, once, and then nothing left to do."""
    past.send([record for name in ("city", "hall", "yard") for record in feed(name).play(12)])
    past.work()
    again = past.named("again", **{"worker.commit_interval_ms": 1})
    since = SpanRequest(since=SpanTime(T1), until=SpanTime(past.now_ns + SECOND))
    for turns in (1, 2, 3, 5, 8):
        scope, around = open_span(again, T1, threading.Event())
        with open_pipeline(again.settings, around, scope) as worker:
            for _ in range(turns):
                worker.step()
    outcome = again.reprocess(T1, past.now_ns + SECOND)
    assert outcome.state == "done"
    assert told(again.results()) == told(past.results())
    published = len(again.results())
    repeated = reprocess_in(again.settings, since, again.around(), threading.Event())
    assert repeated.state == "done before"
    assert repeated.summary == outcome.summary
    assert len(again.results()) == published


def test_a_signal_ends_it_and_the_same_command_goes_on(past: Past, feed: MakeFeed) -> None:
    """Told to stop before it began, it says so and has left nothing; then it is done at once."""
    past.send(feed("city").play(4))
    again = past.named("again")
    stop = threading.Event()
    stop.set()
    request = SpanRequest(since=SpanTime(T1))
    assert reprocess_in(again.settings, request, again.around(), stop).state == "stopped"
    assert not again.results()
    outcome = again.reprocess(T1)
    assert outcome.state == "done"
    assert summary_lines(outcome.summary, "again", "mine") == [
        "again: 2 windows of 1 stream, from 2026-01-01T00:00:00Z to 2026-01-01T00:00:04Z of event time",
        "Compare them: triptych diff mine again",
    ]


def test_workers_that_begin_at_once_agree_on_one_span(past: Past, feed: MakeFeed) -> None:
    """Each means another end; what the owner of number 0 noted holds for both, and they share the numbers."""
    past.send([record for name in ("city", "hall", "yard", "lane", "roof") for record in feed(name).play(8)])
    past.work()
    again = past.named("again")
    one, around = open_span(again, T1, threading.Event())
    past.now_ns += 1_000 * SECOND
    again.now_ns = past.now_ns
    other, _ = open_span(again, T1, threading.Event())
    assert one.span != other.span
    reports = []

    def run(scope: SpanScope) -> None:
        with open_pipeline(again.settings, around, scope) as worker:
            worker.run(threading.Event(), until_end=lambda: True)
            assert scope.consumer is not None
            scope.consumer.mark_done()
            reports.append(scope.span)

    threads = [threading.Thread(target=run, args=(scope,)) for scope in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(reports) == 2
    assert reports[0] == reports[1]
    assert look_up(past.transport, "again", 6).done
    assert told(again.results()) == told(past.results())


def test_what_the_first_owner_of_number_0_noted_holds_for_the_next(past: Past) -> None:
    """Where the first one died right after it, and whatever the next one means."""
    judge = Judge(window_ns=2 * SECOND, hop_ns=2 * SECOND, model="null")
    spans = [TimeRange(from_ns=T1, until_ns=T1 + more, lead_ns=0, judge=judge) for more in (1, 2)]
    agreed = []
    for span in spans:
        with closing(past.transport.group_consumer(INPUT_TOPICS, "again")) as consumer:
            agreed.append(agree(consumer, span, 0, threading.Event()))
    assert agreed == [spans[0], spans[0]]


def test_a_live_pipeline_is_left_alone(past: Past, feed: MakeFeed) -> None:
    """Its commits are as they were; and a live worker is kept out of a group that reprocesses."""
    past.send(feed("city").play(4))
    past.work()
    tps = [TopicPartition(topic, number) for topic in INPUT_TOPICS for number in range(6)]

    def commits() -> object:
        with closing(past.transport.group_consumer(INPUT_TOPICS, consumer_group("triptych"))) as consumer:
            return consumer.committed(tps)

    before = commits()
    with pytest.raises(UsageError, match="as a live one"):
        past.reprocess(T1)
    assert commits() == before

    again = past.named("again")
    again.reprocess(T1)
    with pytest.raises(UsageError, match="reprocesses 2026-01-01T20:40:00Z to"):
        again.work()


def test_results_of_others_are_left_alone(past: Past, feed: MakeFeed) -> None:
    """Also where the group that made them is forgotten."""
    past.send(feed("city").play(4))
    again = past.named("again")
    again.send_raw(Message("again.results", b"city", b"{}"))
    with pytest.raises(UsageError, match=r"again\.results has results"):
        again.reprocess(T1)


def test_a_span_without_records_is_refused(past: Past, feed: MakeFeed) -> None:
    """Most likely somebody means the time of the media."""
    past.send(feed("city").play(4))
    with pytest.raises(UsageError, match="times of arrival"):
        past.named("again").reprocess(T1 - 3_600 * SECOND, T1 - 60 * SECOND)


def test_a_beginning_that_retention_took_is_refused_unless_what_is_left_will_do(past: Past, feed: MakeFeed) -> None:
    """Those partitions are named that hold nothing from before the span."""
    past.send(feed("city").play(10))
    number = past.results_partition("city")
    with closing(past.transport.admin()) as admin:
        admin.delete_records({TopicPartition(topic, number): 4 for topic in INPUT_TOPICS})
    with pytest.raises(OffsetOutOfRangeError, match=r"hold nothing from before 2026.*--partial"):
        past.named("again").reprocess(T1)
    partial = past.named("partial")
    partial.reprocess(T1, partial=True)
    assert partial.results()
    rest = past.named("rest")
    rest.reprocess(past.now_ns - 10 * STEP)
    assert rest.results()
