"""Restores a partition: the results topic is its changelog (alignment rules 18 and 19, see `docs/alignment.md`).

On assignment the tail of the results partition is read. The last result of each stream carries the state from which the
stream continues, and every result is written to the store again. A worker keeps no other persistent state.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import structlog

from triptych.schemas.codec import decode_result
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import STATE_HEADER, TOPIC_OF, TOPICS_HEADER, Modality, results_topic
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import Record, TopicPartition
from triptych.worker.alignment.snapshot import Snapshot
from triptych.worker.errors import StateUnreadableError
from triptych.worker.partitions.origin import recreated_since
from triptych.worker.publishing.stores.protocol import StoredResult

_log = structlog.get_logger(__name__)

_POLL_S: Final = 0.5
_OPEN_LIMIT_S: Final = 10.0
"""How long to wait for an open transaction before the worker turns to its other partitions."""
MARGIN_NS: Final = 60_000_000_000
"""Allowance for clock differences between brokers, and for the time from a decision to its append."""


@dataclass(slots=True)
class Tail:
    """The tail of a results partition: the last snapshot of each stream, and all results."""

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    results: list[StoredResult] = field(default_factory=list)


class _State(NamedTuple):
    """The state in a result, and the ids of the topics that its positions belong to, both as on the wire."""

    snapshot: bytes
    topics: bytes | None


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What to restore: partition `partition`, whose inputs are read from the offsets of `start` on."""

    pipeline: str
    partition: int
    start: Mapping[Modality, int]
    has_commit: bool
    stream_ttl_ns: int
    topic_ids: Mapping[Modality, str] = field(default_factory=dict)


def read_tail(transport: Transport, plan: RestorePlan, *, wall_ns: int) -> Tail:
    """Read the tail of the results partition to its end. Blocks. `wall_ns` is the current wall clock.

    Raises:
        RetriableError: the broker is not available, or a transaction is open for too long.
        StateUnreadableError: the last state of a stream cannot be read.
    """
    inputs = {TopicPartition(TOPIC_OF[modality], plan.partition): offset for modality, offset in plan.start.items()}
    reader = transport.reader(inputs)
    try:
        ends = reader.end_offsets(inputs)
        since_ns = _oldest_unread_ns(reader, inputs, ends, wall_ns) if plan.has_commit else None
    finally:
        reader.close()
    tail = Tail()
    states: dict[str, _State] = {}
    for record in _results_since(transport, plan, since_ns):
        _read_result(record, tail, states)
    _drop_states_of_other_topics(states, plan)
    for stream, state in states.items():
        tail.snapshots[stream] = _snapshot(stream, state.snapshot)
    _drop_states_beyond(ends, tail, plan)
    return tail


def _oldest_unread_ns(
    reader: Reader,
    inputs: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    wall_ns: int,
) -> int:
    """Return the earliest arrival time of the first unread records. A partition without one counts as now."""
    missing = {tp for tp, offset in inputs.items() if offset < ends[tp]}
    oldest_ns = wall_ns
    while missing:
        for record in reader.poll(_POLL_S).records:
            if record.tp in missing:
                missing.discard(record.tp)
                oldest_ns = min(oldest_ns, record.arrival_ns)
        missing = {tp for tp in missing if reader.position(tp) < ends[tp]}
        reader.pause(set(inputs) - missing)
    return oldest_ns


def _results_since(transport: Transport, plan: RestorePlan, since_ns: int | None) -> Iterator[Record]:
    """Yield the results of the tail, up to the last record appended so far.

    Includes records of open transactions of a former owner: their outcome must be awaited, or a result that is
    committed later would be published again.
    """
    tp = TopicPartition(results_topic(plan.pipeline), plan.partition)
    end = _appended_offset(transport, tp)
    reader = transport.reader({tp: 0})
    try:
        begin = reader.begin_offsets([tp])[tp]
        if since_ns is not None:
            from_ns = max(0, since_ns - plan.stream_ttl_ns - MARGIN_NS)
            begin = max(begin, reader.offsets_for_times({tp: from_ns})[tp])
        reader.seek(tp, begin)
        progress_s = time.monotonic()
        while (position := reader.position(tp)) < end:
            yield from reader.poll(_POLL_S).records
            if reader.position(tp) > position:
                progress_s = time.monotonic()
            elif time.monotonic() - progress_s > _OPEN_LIMIT_S:
                raise BrokerUnavailableError(
                    f"{tp.topic} {tp.partition}: no records can be read from offset {position} to {end}: a transaction "
                    "of a former worker is open there; the broker aborts it after kafka.transaction_timeout_ms"
                )
    finally:
        reader.close()


def _appended_offset(transport: Transport, tp: TopicPartition) -> int:
    admin = transport.admin()
    try:
        return admin.appended_offsets([tp])[tp]
    finally:
        admin.close()


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
        states[result.stream] = _State(headers[STATE_HEADER], headers.get(TOPICS_HEADER))


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
