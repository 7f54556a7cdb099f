"""Restart: the results topic is the changelog (rules 18 and 19).

On assignment the tail of results partition *p* is read: its last result of each stream gives the state in which the
stream goes on, and every result of it is offered to the store once more. Nothing else is stored anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from triptych.schemas.codec import decode_result
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import STATE_HEADER, TOPIC_OF, Modality, results_topic
from triptych.transport.errors import BrokerUnavailableError
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import Record, TopicPartition
from triptych.worker.alignment.snapshot import Snapshot
from triptych.worker.errors import StateUnreadableError
from triptych.worker.publishing.stores.protocol import StoredResult

_log = structlog.get_logger(__name__)

_POLL_S: Final = 0.5
_OPEN_LIMIT_S: Final = 10.0
"""How long to stand before a transaction that is open before looking after the worker's other partitions."""
MARGIN_NS: Final = 60_000_000_000
"""Clock differences between brokers, and the time a result takes from its decision to the topic."""


@dataclass(slots=True)
class Tail:
    """What the results topic says of a partition number."""

    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    results: list[StoredResult] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What to read for partition number `number`: `start` is where its inputs are read on from."""

    pipeline: str
    partition: int
    start: Mapping[Modality, int]
    has_commit: bool
    stream_ttl_ns: int


def read_tail(transport: Transport, plan: RestorePlan, *, wall_ns: int) -> Tail:
    """Read the tail of the results partition to its end; `wall_ns` is the moment of asking."""
    inputs = {TopicPartition(TOPIC_OF[modality], plan.partition): offset for modality, offset in plan.start.items()}
    reader = transport.reader(inputs)
    try:
        ends = reader.end_offsets(inputs)
        since_ns = _oldest_unread_ns(reader, inputs, ends, wall_ns) if plan.has_commit else None
    finally:
        reader.close()
    tail = Tail()
    states: dict[str, bytes] = {}
    for record in _results_since(transport, plan, since_ns):
        _read_result(record, tail, states)
    for stream, state in states.items():
        tail.snapshots[stream] = _snapshot(stream, state)
    _drop_foreign(tail, plan, ends)
    return tail


def _oldest_unread_ns(
    reader: Reader,
    inputs: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    wall_ns: int,
) -> int:
    """Return the least arrival time of the first unread records; a partition without one counts as now."""
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
    """Yield the results of the tail, to the end that the partition has now.

    What a former owner has appended in a transaction counts: whoever reads only what is committed must wait for its
    fate, else a result that is committed later would be published again.
    """
    tp = TopicPartition(results_topic(plan.pipeline), plan.partition)
    end = _appended(transport, tp)
    reader = transport.reader({tp: 0})
    try:
        begin = reader.begin_offsets([tp])[tp]
        if since_ns is not None:
            from_ns = max(0, since_ns - plan.stream_ttl_ns - MARGIN_NS)
            begin = max(begin, reader.offsets_for_times({tp: from_ns})[tp])
        reader.seek(tp, begin)
        heard_s = time.monotonic()
        while (position := reader.position(tp)) < end:
            yield from reader.poll(_POLL_S).records
            if reader.position(tp) > position:
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s > _OPEN_LIMIT_S:
                raise BrokerUnavailableError(
                    f"{tp.topic} {tp.partition}: nothing can be read from {position} to {end}; a transaction of a "
                    "former worker is open there, which the broker ends after kafka.transaction_timeout_ms"
                )
    finally:
        reader.close()


def _appended(transport: Transport, tp: TopicPartition) -> int:
    admin = transport.admin()
    try:
        return admin.appended_offsets([tp])[tp]
    finally:
        admin.close()


def _read_result(record: Record, tail: Tail, states: dict[str, bytes]) -> None:
    """Add one result to the tail. One that cannot be read is passed over: it is not ours."""
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
    state = dict(record.headers).get(STATE_HEADER)
    if state is not None:
        states[result.stream] = state


def _snapshot(stream: str, state: bytes) -> Snapshot:
    """Read a stream's last state. Going on without it would publish its windows again."""
    try:
        return Snapshot.from_json(state)
    except MalformedRecordError as error:
        raise StateUnreadableError(
            f"the last result of stream {stream} carries a state that this version cannot read ({error}): "
            "run the version that wrote it, or another pipeline name"
        ) from error


def _drop_foreign(tail: Tail, plan: RestorePlan, ends: Mapping[TopicPartition, int]) -> None:
    """Drop states that lie beyond the inputs: the input topics were made anew since."""
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
                reason="its positions lie beyond the ends of the input topics: they were made anew since",
            )
