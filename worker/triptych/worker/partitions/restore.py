"""Reads the state of partitions: the results topic is their changelog (alignment rules 18 and 19, `docs/alignment.md`).

On assignment the tail of the results partition is read. The last result of each stream, or one before it that has a
later state, carries the state from which the stream continues, and every result is written to the store again. A worker
keeps no other persistent state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import structlog

from triptych.schemas.codec import decode_result
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import STATE_HEADER, TOPIC_OF, TOPICS_HEADER, Modality, results_topic
from triptych.transport.errors import BrokerUnavailableError, RetriableError, UnreadableBatchError
from triptych.transport.protocols import Transport
from triptych.transport.records import Record, TopicPartition
from triptych.worker.alignment.snapshot import Snapshot, progress_of
from triptych.worker.errors import StateUnreadableError
from triptych.worker.partitions.origin import recreated_since
from triptych.worker.publishing.stores.protocol import StoredResult

_log = structlog.get_logger(__name__)

_STUCK_LIMIT_S: Final = 10.0
"""How long to wait for records, or for the end of an open transaction, before the partition is tried anew."""
MARGIN_NS: Final = 60_000_000_000
"""Allowance for clock differences between brokers, and for the time from a decision to its append."""


@dataclass(slots=True)
class Tail:
    """The tail of a results partition: the last snapshot of each stream, and all results."""

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    results: list[StoredResult] = field(default_factory=list)


class _State(NamedTuple):
    """The state in a result, and the ids of the topics that its positions belong to, both as on the wire.

    `progress` is how far the stream was (see `progress_of`); None if the state cannot be read.
    """

    snapshot: bytes
    topics: bytes | None
    progress: tuple[int, int] | None


Outcome = Tail | RetriableError | UnreadableBatchError
"""The tail of a partition, or why it cannot be read: not now, or by the policy `stop` on unreadable batches."""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What to restore: partition `partition`, whose inputs are read from the offsets of `start` on."""

    pipeline: str
    partition: int
    start: Mapping[Modality, int]
    has_commit: bool
    stream_ttl_ns: int
    topic_ids: Mapping[Modality, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Unfinished:
    """A partition whose tail is being read."""

    plan: RestorePlan
    oldest_ns: int
    """The earliest arrival time of the first unread records. An input without one counts as now."""
    inputs: dict[TopicPartition, int] = field(init=False)
    results: TopicPartition = field(init=False)
    input_ends: dict[TopicPartition, int] = field(default_factory=dict)
    missing: set[TopicPartition] = field(default_factory=set)
    """The inputs whose first unread record is not known yet."""
    position: int = 0
    results_end: int = 0
    tail: Tail = field(default_factory=Tail)
    states: dict[str, _State] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan = self.plan
        self.inputs = {TopicPartition(TOPIC_OF[modality], plan.partition): at for modality, at in plan.start.items()}
        self.results = TopicPartition(results_topic(plan.pipeline), plan.partition)

    @property
    def from_ns(self) -> int:
        """The arrival time from which on results belong to the tail."""
        return max(0, self.oldest_ns - self.plan.stream_ttl_ns - MARGIN_NS)

    def open_transaction(self) -> RetriableError:
        """Return why results cannot be read to their end."""
        tp = self.results
        return BrokerUnavailableError(
            f"{tp.topic} {tp.partition}: no records can be read from offset {self.position} to {self.results_end}: a "
            "transaction of a former worker is open there; the broker aborts it after kafka.transaction_timeout_ms"
        )

    def finish(self) -> Tail:
        """Return the tail, with the states that still apply."""
        _drop_states_of_other_topics(self.states, self.plan)
        for stream, state in self.states.items():
            self.tail.snapshots[stream] = _snapshot(stream, state.snapshot)
        _drop_states_beyond(self.input_ends, self.tail, self.plan)
        return self.tail


class TailReader:
    """Reads the tails of several partitions side by side, with three clients and a few requests for all of them.

    1. The end offsets of the inputs are queried.
    2. The first unread record of each input is read: its arrival time tells where the tail begins.
    3. The ends of the results partitions are queried. They include records of open transactions of a former owner: the
       outcome of these must be awaited, or a result that is committed later would be published again.
    4. The results are read up to these ends.

    A query blocks for as long as a request may take; reading blocks no longer than the caller allows. Belongs to one
    thread.
    """

    def __init__(
        self,
        transport: Transport,
        plans: Iterable[RestorePlan],
        *,
        wall_ns: int,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open a reader of the inputs, and query their ends.

        Args:
            transport: opens the clients.
            plans: what to restore, at most one plan for each partition.
            wall_ns: the current wall clock.
            monotonic_s: the monotonic clock, in seconds.

        Raises:
            RetriableError: the broker is not available.
        """
        self._transport = transport
        self._monotonic_s = monotonic_s
        self._unfinished = {plan.partition: _Unfinished(plan, wall_ns) for plan in plans}
        start = {tp: offset for each in self._unfinished.values() for tp, offset in each.inputs.items()}
        self._reader = transport.reader(start)
        try:
            ends = self._reader.end_offsets(start)
        except BaseException:
            self._reader.close()
            raise
        for each in self._unfinished.values():
            each.input_ends = {tp: ends[tp] for tp in each.inputs}
            if each.plan.has_commit:
                each.missing = {tp for tp, offset in each.inputs.items() if offset < ends[tp]}
        self._reader.pause(start.keys() - self._missing())
        self._is_reading_results = False
        self._progress_s = monotonic_s()
        """When something was last read, by the monotonic clock."""

    @property
    def is_done(self) -> bool:
        """Whether no tail is left to read."""
        return not self._unfinished

    def advance(self, limit_s: float) -> dict[int, Outcome]:
        """Read on, and return the outcomes of the partitions that are done. Reading takes `limit_s` at most.

        Raises:
            RetriableError: the broker is not available. Close this reader: nothing more can be read.
            StateUnreadableError: the last state of a stream cannot be read.
        """
        outcomes: dict[int, Outcome] = {}
        deadline_s = self._monotonic_s() + limit_s
        while self._unfinished:
            if not self._is_reading_results and not self._missing():
                self._begin_results()
            left_s = max(0.0, deadline_s - self._monotonic_s())
            outcomes |= self._read_results(left_s) if self._is_reading_results else self._read_inputs(left_s)
            if self._monotonic_s() >= deadline_s:
                break
        return outcomes

    def drop(self, partition: int) -> None:
        """Read no more of a partition, and return no outcome of it."""
        each = self._unfinished.pop(partition, None)
        if each is not None:
            self._reader.pause([*each.inputs, each.results])

    def close(self) -> None:
        """Close the reader that is open."""
        self._unfinished.clear()
        self._reader.close()

    # --- inputs -------------------------------------------------------------------------------------------------------

    def _missing(self) -> set[TopicPartition]:
        """Return the inputs whose first unread record is not known yet."""
        return {tp for each in self._unfinished.values() for tp in each.missing}

    def _read_inputs(self, limit_s: float) -> dict[int, Outcome]:
        wanted = self._missing()
        records, stopped = self._poll(limit_s)
        for record in records:
            each = self._unfinished.get(record.partition)
            if each is not None and record.tp in each.missing:
                each.missing.discard(record.tp)
                each.oldest_ns = min(each.oldest_ns, record.arrival_ns)
        if not records:  # offsets may be left that hold no record, such as the end of a transaction
            for each in self._unfinished.values():
                each.missing = {tp for tp in each.missing if self._reader.position(tp) < each.input_ends[tp]}
        missing = self._missing()
        self._reader.pause(wanted - missing)
        if missing != wanted:
            self._progress_s = self._monotonic_s()
        failures: dict[int, Outcome] = {tp.partition: error for tp, error in stopped.items() if tp in missing}
        if self._is_stuck():
            for tp in missing:
                failures.setdefault(
                    tp.partition, BrokerUnavailableError(f"{tp.topic} {tp.partition}: no records can be read")
                )
        return self._ended(failures)

    # --- results ------------------------------------------------------------------------------------------------------

    def _begin_results(self) -> None:
        """Query where the tails end and begin, and open a reader of the results."""
        results = {each.results: each for each in self._unfinished.values()}
        # A client of its own: one that was open before may not know a broker that has come back.
        with closing(self._transport.admin()) as admin:
            ends = admin.appended_offsets(results)
        begins = self._reader.begin_offsets(results)
        from_ns = {tp: each.from_ns for tp, each in results.items() if each.plan.has_commit}
        by_time = self._reader.offsets_for_times(from_ns) if from_ns else {}
        self._reader.close()
        for tp, each in results.items():
            each.position = max(begins[tp], by_time.get(tp, 0))
            each.results_end = ends[tp]
        self._reader = self._transport.reader({tp: each.position for tp, each in results.items()})
        self._is_reading_results = True
        self._progress_s = self._monotonic_s()

    def _read_results(self, limit_s: float) -> dict[int, Outcome]:
        outcomes = self._completed()  # at once, if there are no results
        if not self._unfinished:
            return outcomes
        records, stopped = self._poll(limit_s)
        for record in records:
            each = self._unfinished.get(record.partition)
            if each is not None:
                each.position = record.offset + 1
                _read_result(record, each.tail, each.states)
        is_progress = bool(records)
        if not records:  # offsets may be left that hold no record, such as the end of a transaction
            for each in self._unfinished.values():
                position = self._reader.position(each.results)
                is_progress |= position > each.position
                each.position = position
        if is_progress:
            self._progress_s = self._monotonic_s()
        outcomes |= self._completed()
        failures: dict[int, Outcome] = {
            tp.partition: error for tp, error in stopped.items() if tp.partition in self._unfinished
        }
        if self._is_stuck():
            for partition, each in self._unfinished.items():
                failures.setdefault(partition, each.open_transaction())
        return outcomes | self._ended(failures)

    def _completed(self) -> dict[int, Outcome]:
        """Return the tails that are read to their ends."""
        done = [each for each in self._unfinished.values() if each.position >= each.results_end]
        return self._ended({each.plan.partition: each.finish() for each in done})

    # --- both ---------------------------------------------------------------------------------------------------------

    def _poll(self, limit_s: float) -> tuple[Sequence[Record], dict[TopicPartition, UnreadableBatchError]]:
        """Return what can be read, or the batches at which, by the policy `stop`, reading has stopped."""
        try:
            return self._reader.poll(limit_s).records, {}
        except UnreadableBatchError as error:
            return (), {span.tp: UnreadableBatchError(span) for span in error.spans}

    def _is_stuck(self) -> bool:
        return self._monotonic_s() - self._progress_s > _STUCK_LIMIT_S

    def _ended(self, outcomes: dict[int, Outcome]) -> dict[int, Outcome]:
        """Read no more of the partitions of these outcomes."""
        for partition in outcomes:
            self.drop(partition)
        return outcomes


def _read_result(record: Record, tail: Tail, states: dict[str, _State]) -> None:
    """Add one result to the tail. Skip one that cannot be decoded: this worker did not publish it."""
    try:
        result = decode_result(record.key, record.value, record.headers)
    except MalformedRecordError as error:
        _log.warning(
            "result_unreadable",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            reason=str(error),
        )
        return
    tail.results.append(StoredResult(result, record.value))
    headers = dict(record.headers)
    if STATE_HEADER in headers:
        snapshot = headers[STATE_HEADER]
        state = _State(snapshot, headers.get(TOPICS_HEADER), progress_of(snapshot))
        if not _is_overtaken(state, states.get(result.stream)):
            states[result.stream] = state


def _is_overtaken(state: _State, known: _State | None) -> bool:
    """Return whether the state of a result is older than that of one before it on the topic.

    It is if a worker was suspended when its client had buffered the result, and was resumed after another worker had
    published it and gone on. Continued from there, the stream would publish windows again, without the records that the
    other worker has committed.
    """
    if known is None or state.progress is None or known.progress is None:
        return False
    return state.topics is not None and state.topics == known.topics and state.progress < known.progress


def _snapshot(stream: str, state: bytes) -> Snapshot:
    """Decode the last state of a stream. Without it the worker would publish windows again."""
    try:
        return Snapshot.from_json(state)
    except MalformedRecordError as error:
        raise StateUnreadableError(
            f"the last result of stream {stream} carries a state that this version cannot read ({error}): "
            "run the version that wrote it, or use another pipeline name"
        ) from error


def _drop_states_of_other_topics(states: dict[str, _State], plan: RestorePlan) -> None:
    """Drop states from before an input topic was created again: their positions mean nothing in the new one."""
    recreated = {stream: recreated_since(state.topics, plan.topic_ids) for stream, state in states.items()}
    stale = {stream for stream, modalities in recreated.items() if modalities}
    for stream in stale:
        del states[stream]
    if stale:
        topics = sorted({TOPIC_OF[modality] for modalities in recreated.values() for modality in modalities})
        _log.warning(
            "states_of_recreated_topics",
            partition=plan.partition,
            topics=topics,
            streams=len(stale),
            hint="the topics were deleted and created again since: their streams begin anew",
        )


def _drop_states_beyond(ends: Mapping[TopicPartition, int], tail: Tail, plan: RestorePlan) -> None:
    """Drop states whose positions are beyond the end offsets: the input topics were recreated since."""
    for stream, snapshot in list(tail.snapshots.items()):
        positions = {
            TopicPartition(TOPIC_OF[modality], plan.partition): at for modality, at in snapshot.positions.items()
        }
        if any(at > ends[tp] for tp, at in positions.items()):
            del tail.snapshots[stream]
            _log.warning(
                "state_dropped",
                stream=stream,
                partition=plan.partition,
                reason="its positions are beyond the ends of the input topics: the topics were recreated",
            )
