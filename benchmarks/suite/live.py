"""Live streams: how soon a window can be read (`latency`), and what more streams cost (`streams`).

Topics and store are in memory, and there is no model.
"""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Final

import cv2
import numpy as np

from benchmarks.frame import Benchmark, Cost, measured
from benchmarks.suite import Size
from benchmarks.suite.road import WINDOW_S, film, polled, short_films
from tests.worker.world import SECOND, Feed
from triptych.models.model import InputSpec, ModelInfo
from triptych.models.prediction import WindowPrediction
from triptych.schemas.codec import encode
from triptych.schemas.names import MODALITIES, TOPIC_OF
from triptych.schemas.records import InputRecord
from triptych.schemas.results import Result
from triptych.service.health import Health
from triptych.settings.loading import load
from triptych.transport.memory.transport import MemoryTransport
from triptych.transport.records import Message
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import create_topics
from triptych.units import NS_PER_MS
from triptych.worker.alignment.config import AlignConfig
from triptych.worker.alignment.decisions import ClosedWindow
from triptych.worker.alignment.entry import READING_ORDER
from triptych.worker.media.preparer import Preparer
from triptych.worker.observability.metrics import Metrics
from triptych.worker.partitions.partition import PartitionSet
from triptych.worker.publishing.result import ModelOutput, result_of
from triptych.worker.publishing.stores.memory import MemoryStore
from triptych.worker.publishing.stores.protocol import StoredResult, StoreLimits
from triptych.worker.run import WholeLog
from triptych.worker.wiring import Dependencies, open_pipeline

_SPEC: Final = InputSpec(4, 32, 32, 16_000)
_SETTINGS: Final[Mapping[str, object]] = {"model.name": "null", "batch.max_delay_ms": 0}
_TOPIC_BYTES: Final = 1 << 30
_LIMIT_S: Final = 120.0
_IDLE_S: Final = 2.0
_IDLE_STREAMS: Final = 500
"""How many streams the memory of a silent one is measured with."""
_LOADS: Final = (25, 50, 75)
_PARTITIONS: Final = 6


@dataclass(frozen=True, slots=True)
class _Delay:
    """What is measured of a result. The result itself is not kept: the worker would collect the benchmark's garbage."""

    arrival_ms: float
    published_ms: float
    prepare_ms: float
    infer_ms: float
    readable_ms: float


class _Readable(MemoryStore):
    """A store that notes when each result can be read, and keeps none but the newest of a stream."""

    def __init__(self) -> None:
        super().__init__(limits=StoreLimits(max_results=1))
        self.count = 0
        self.delays: list[_Delay] = []
        self._changed = threading.Condition()

    def write(self, batch: Sequence[StoredResult]) -> tuple[bool, ...]:
        """Store results, and note the time."""
        new = super().write(batch)
        readable_ms = time.time_ns() / NS_PER_MS
        with self._changed:
            self.count += len(batch)
            self.delays += [
                _delay(stored.result, readable_ms) for stored in batch if stored.result.arrival_ms.last is not None
            ]
            self._changed.notify_all()
        return new

    def wait_for(self, results: int) -> None:
        """Block until so many results were written."""
        with self._changed:
            if not self._changed.wait_for(lambda: self.count >= results, _LIMIT_S):
                raise RuntimeError(f"expected {results} results within {_LIMIT_S:g} s, got {self.count}")


def _delay(result: Result, readable_ms: float) -> _Delay:
    return _Delay(
        arrival_ms=result.arrival_ms.last or 0.0,
        published_ms=result.published_ns / NS_PER_MS,
        prepare_ms=result.stage_ms.get("prepare", 0.0),
        infer_ms=result.stage_ms.get("infer", 0.0),
        readable_ms=readable_ms,
    )


class _LiveWorker:
    """A worker on a thread of its own, and the topics that it reads."""

    def __init__(self, transport: MemoryTransport, store: _Readable) -> None:
        self.store = store
        self._publisher = transport.publisher()

    def send(self, messages: Sequence[Message]) -> None:
        """Send messages at once."""
        for message in messages:
            self._publisher.send(message)


@contextmanager
def _live_worker() -> Iterator[_LiveWorker]:
    transport, store = MemoryTransport(max_bytes=_TOPIC_BYTES), _Readable()
    settings = load(overrides=dict(_SETTINGS), environ={})
    admin = transport.admin()
    create_topics(admin, settings.pipeline, TopicSettings("", _PARTITIONS))
    admin.close()
    stop = threading.Event()
    errors: list[BaseException] = []

    def work() -> None:
        try:
            dependencies = Dependencies(transport, store, [Metrics()], Health())
            with open_pipeline(settings, dependencies, WholeLog.of(settings)) as pipeline:
                pipeline.run(stop)
        except BaseException as error:  # noqa: BLE001 - raised below
            errors.append(error)

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    try:
        yield _LiveWorker(transport, store)
    finally:
        stop.set()
        thread.join()
    for error in errors:
        raise error


# --- latency ----------------------------------------------------------------------------------------------------------


def latency_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of the delay from the last record that a window needs until its result can be read."""
    seconds = size(10, 2)

    @cache
    def capacity() -> float:
        """Windows a second of clock that this machine reaches, when they need not be live."""
        cost = _at_once(size(40, 2), size(40, 4))
        return cost.units / cost.wall_s

    def at(percent: int, *, in_step: bool = False) -> Callable[[], Cost]:
        if size.is_small:
            return lambda: _live(1 + percent // 25, seconds, capacity(), in_step=in_step)
        return lambda: _live(max(1, round(capacity() * percent / 100 * WINDOW_S)), seconds, capacity(), in_step=in_step)

    return Benchmark(
        "latency",
        "How long after the last record that it needs can the result of a window be read, without a model?",
        "window",
        {
            **{f"{percent} % load": at(percent) for percent in _LOADS},
            f"{_LOADS[-1]} % load, in step": at(_LOADS[-1], in_step=True),
        },
        limit=f"{_LOADS[0]} % load",
        ours=f"{_LOADS[-1]} % load",
        note="Topics and store in memory; batch.max_delay_ms is 0. The load is the share of the windows that a worker "
        "completes in the same time when all records are sent at once, from the same process as here. Stages: `align` "
        "until the batch, `prepare`, `infer`, and `publish` until the store has the result. The records of the feeds "
        "come one feed after the other, evenly over the length of a window; in step, those of all feeds come together, "
        "and so all windows end together. `least` is the delay in a queue that completes one window after the other at "
        "the rate of records sent at once: windows that end together wait for each other.",
        value_goals={"p50_ms": 20, "p99_ms": 100},
        forbids="CPU of a live window, in one interpreter",
    )


def _live(streams: int, seconds: int, capacity: float, *, in_step: bool) -> Cost:
    """Play streams at their own speed, and measure when their results can be read.

    Windows begin at multiples of their size, in all streams. So what is spread over the length of a window is when the
    records are sent, not their times.
    """
    begin_ns = time.time_ns() + SECOND + streams * 10 * NS_PER_MS  # they are encoded until then
    begin_ns += -begin_ns % (WINDOW_S * SECOND)
    step_ns = 0 if in_step else WINDOW_S * SECOND // streams
    sent: list[tuple[int, Message]] = []
    for number in range(streams):
        feed = Feed(f"feed-{number}", start_ns=begin_ns)
        records = film(feed, seconds // WINDOW_S, [_small_image()], 2)
        sent += [(_due_ns(record) + number * step_ns, _message(record)) for record in records]
    sent.sort(key=itemgetter(0))
    windows = streams * (seconds // WINDOW_S)
    delays: list[_Delay] = []

    def work() -> float:
        for due_ns, message in sent:
            wait_s = (due_ns - time.time_ns()) / SECOND
            if wait_s > 0:
                time.sleep(wait_s)
            worker.send([message])
        worker.store.wait_for(windows)
        delays.extend(worker.store.delays)
        return windows

    with _live_worker() as worker:
        return measured(work, lambda: {"streams": streams, **_percentiles(delays), **_least(delays, capacity)})


def _at_once(streams: int, windows: int) -> Cost:
    """Send the records of streams as fast as possible, in the order of their times, and measure what it takes."""
    films = short_films(streams, windows, image=_small_image())
    messages = [_message(record) for record in sorted((record for own in films for record in own), key=_due_ns)]

    def work() -> float:
        for message in messages:
            worker.send([message])
        worker.store.wait_for(streams * windows)
        return streams * windows

    with _live_worker() as worker:
        return measured(work)


def _percentiles(delays: Sequence[_Delay]) -> dict[str, float]:
    """Return the percentiles of the delay, and of its stages."""
    parts: dict[str, list[float]] = {
        "": [each.readable_ms - each.arrival_ms for each in delays],
        "align_": [each.published_ms - each.arrival_ms - each.prepare_ms - each.infer_ms for each in delays],
        "prepare_": [each.prepare_ms for each in delays],
        "infer_": [each.infer_ms for each in delays],
        "publish_": [each.readable_ms - each.published_ms for each in delays],
    }
    return {f"{name}p{rank}_ms": _rank(values, rank) for name, values in parts.items() for rank in (50, 99)}


def _least(delays: Sequence[_Delay], capacity: float) -> dict[str, float]:
    """Return the percentiles of the delay in a queue that completes `capacity` windows a second, one by one."""
    free_ms, waits = 0.0, []
    for arrival_ms in sorted(each.arrival_ms for each in delays):
        free_ms = max(free_ms, arrival_ms) + 1_000 / capacity
        waits.append(free_ms - arrival_ms)
    return {f"least_p{rank}_ms": _rank(waits, rank) for rank in (50, 99)}


def _rank(values: Sequence[float], percent: int) -> float:
    """Return a percentile."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def _due_ns(record: InputRecord) -> int:
    """Return when a live producer sends a record: when its media is over."""
    return getattr(record, "end_ns", record.start_ns)


def _small_image() -> bytes:
    return cv2.imencode(".jpg", np.full((36, 64, 3), 128, np.uint8))[1].tobytes()


def _message(record: InputRecord) -> Message:
    wire = encode(record)
    return Message(TOPIC_OF[record.modality], wire.key, wire.value, wire.headers)


# --- streams ----------------------------------------------------------------------------------------------------------


def streams_benchmark(size: Size) -> Benchmark:
    """Return the benchmark of a worker by the number of streams, with the same number of windows."""
    windows, streams = size(10_000, 40), (1, 100, 10_000) if not size.is_small else (1, 20)
    return Benchmark(
        "streams",
        "Does a window cost the same with many streams as with one? What do streams cost while they are silent?",
        "window",
        {_streams_name(number): lambda own=number: _known_streams(own, windows) for number in streams},
        limit=_streams_name(1),
        ours=_streams_name(streams[-1]),
        goal=1.1,
        note="Windows of one cue, of streams that the worker knows already. `idle_cpu_percent` is the share of one "
        "core that it takes afterwards, while all of them are silent; `idle_kB` is the memory of a silent stream with "
        "a held picture, without its media.",
        value_goals={"idle_kB": 10},
    )


def _streams_name(streams: int) -> str:
    return f"{streams:,} stream{'s' * (streams > 1)}"


def _known_streams(streams: int, windows: int) -> Cost:
    """Give each stream a window, then measure `windows` more, and what the worker takes when nothing comes."""
    feeds = [Feed(f"feed-{number}", tracks=("subtitles",)) for number in range(streams)]
    first = [_message(_cue(feed, 0)) for feed in feeds]
    turns = range(1, windows // streams + 1)
    measured_messages = [_message(_cue(feed, turn)) for turn in turns for feed in feeds]
    total = len(first) + len(measured_messages)
    idle_s: list[float] = []

    def work() -> float:
        worker.send(measured_messages)
        worker.store.wait_for(total)
        return len(measured_messages)

    def values() -> Mapping[str, float]:
        time.sleep(_IDLE_S / 4)  # until the last commit
        before_s = time.process_time()
        time.sleep(_IDLE_S)
        idle_s.append(time.process_time() - before_s)
        kilobytes = {} if streams == 1 else {"idle_kB": _idle_stream_bytes(min(streams, _IDLE_STREAMS)) / 1e3}
        return {"idle_cpu_percent": idle_s[0] / _IDLE_S * 100, **kilobytes}

    with _live_worker() as worker:
        worker.send(first)
        worker.store.wait_for(len(first))
        return measured(work, values)


def _cue(feed: Feed, turn: int) -> InputRecord:
    """Return a cue that completes its window."""
    at_s = turn * WINDOW_S
    return feed.cue(at_s, at_s + 1, f"words at {at_s}", at_s + WINDOW_S)


def _idle_stream_bytes(streams: int) -> float:
    """Return the memory that a worker keeps for a live stream that has sent two windows, without their media."""
    records, positions = polled([own[: -len(MODALITIES)] for own in short_films(streams, 2)])  # without its end
    partition_set = PartitionSet(0, AlignConfig(), dict.fromkeys(READING_ORDER, 0), partitions=1, restored={})
    ends = {tp: positions[modality] for modality, tp in partition_set.tps.items()}
    preparer = Preparer(_SPEC, measures_quality=True)
    gc.collect()
    tracemalloc.start()
    try:
        partition_set.receive(records, positions, at_ns=0)
        partition_set.apply_end_offsets(ends, at_ns=SECOND, wall_ns=records[-1].arrival_ns + SECOND)
        while (decision := partition_set.decide()) is not None:
            if isinstance(decision, ClosedWindow):
                _publish(partition_set, decision, preparer)
        del decision
        gc.collect()
        return tracemalloc.get_traced_memory()[0] / streams
    finally:
        tracemalloc.stop()


def _publish(partition_set: PartitionSet, window: ClosedWindow, preparer: Preparer) -> None:
    """Do what a worker does with a closed window, as far as it keeps something of it."""
    pending = partition_set.offset_tracker.await_result(window.stream, window.snapshot)
    preparation = preparer.prepare(window)
    prediction = WindowPrediction(words=preparation.window.cues)
    output = ModelOutput(preparation, prediction, ModelInfo("null", "1", "0" * 64), {})
    result = result_of(window, output, partition=0, published_ns=window.snapshot.clock_ns)
    result = partition_set.recent.with_novelty(result, [])
    result = partition_set.quality.with_flags(result)
    partition_set.tracks.with_tracks(result)
    partition_set.offset_tracker.complete(pending)
