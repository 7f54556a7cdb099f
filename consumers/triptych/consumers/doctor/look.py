"""Look at a pipeline: topics, consumer group, dead letters, results in Kafka and in Redis. Reads only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final, Protocol

from triptych.consumers.dead.letters import read_letters
from triptych.consumers.doctor.observations import PATIENCE_NS, LettersSeen, PipelineSeen, StreamSeen, TrackSeen
from triptych.consumers.subscription.log_reading import read_tail
from triptych.consumers.subscription.result_source import SourceError
from triptych.schemas.codec import decode_result
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import (
    END_TYPE,
    INPUT_TOPICS,
    MODALITIES,
    MODALITY_OF,
    TOPIC_OF,
    Modality,
    consumer_group,
    results_topic,
)
from triptych.schemas.partition import partition_of
from triptych.transport.errors import TransportError
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import Record, TopicPartition
from triptych.transport.topic_settings import TopicSettings
from triptych.transport.topics import find_problems, pipeline_topics
from triptych.units import NS_PER_MS, NS_PER_S

_TAIL_OF_ALL: Final = 100
_TAILS_OF_ONE: Final = (200, 3_000)
"""How many of the newest records of each partition are looked at; for one stream more, if it is not among them."""
_DAY_NS: Final = 86_400 * NS_PER_S
_SAMPLE_S: Final = 3.0
_FIRST_RECORDS_S: Final = 10.0
_POLL_S: Final = 0.2
_END: Final = ("ce_type", END_TYPE.encode())


class ResultIndex(Protocol):
    """What the doctor asks a store of results. Both raise `SourceError` where the store cannot be asked."""

    def streams(self) -> tuple[str, ...]:
        """Return the streams that have results."""

    def newest_ns(self, stream: str) -> int | None:
        """Return the publication time of a stream's newest result; None if it has none."""


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Looks at one pipeline.

    Attributes:
        pipeline: its name.
        max_record_bytes: the size limit of records that its topics must accept.
        idle_ns: the worker's idle timeout.
        patience_ns: how far behind a step may be before that counts as wrong.
        clock_ns: the wall clock, in nanoseconds.
        pause: waits some seconds between two looks at the group's commits.
    """

    pipeline: str
    max_record_bytes: int
    idle_ns: int
    patience_ns: int = PATIENCE_NS
    clock_ns: Callable[[], int] = time.time_ns
    pause: Callable[[float], None] = time.sleep

    def look(self, transport: Transport, index: ResultIndex, wanted: str | None) -> PipelineSeen:
        """Return what is seen of one stream, or of all that have records of the last day. Blocks for some seconds.

        A server that cannot be asked is part of what is seen, and no error.
        """
        seen = PipelineSeen(self.clock_ns(), self.pipeline, wanted, self.idle_ns, self.patience_ns)
        try:
            seen = self._at_kafka(seen, transport)
        except TransportError as error:
            seen = replace(seen, kafka_error=str(error), streams=())
        try:
            return _at_redis(seen, index)
        except SourceError as error:
            return replace(seen, redis_error=str(error))

    def _at_kafka(self, seen: PipelineSeen, transport: Transport) -> PipelineSeen:
        with closing(transport.admin()) as admin:
            states = admin.describe(pipeline_topics(self.pipeline))
            problems = find_problems(self.pipeline, TopicSettings("", max_record_bytes=self.max_record_bytes), states)
            if problems:
                return replace(seen, topic_problems=tuple(map(str, problems)))
            workers = len(admin.members(consumer_group(self.pipeline)))
        count = states[INPUT_TOPICS[0]].partitions
        streams, known = _streams(transport, self.pipeline, seen.wanted, count, seen.now_ns)
        committed = _committed(transport, self.pipeline, _inputs(streams, count))
        streams = _with_lag(transport, streams, committed, count)
        streams = _with_letters(transport, self.pipeline, streams, seen.now_ns)
        advancing = self._is_advancing(transport, committed) if workers and _is_behind(streams, seen) else None
        return replace(seen, workers=workers, is_advancing=advancing, streams=streams, known=known)

    def _is_advancing(self, transport: Transport, before: Mapping[TopicPartition, int | None]) -> bool:
        self.pause(_SAMPLE_S)
        return _committed(transport, self.pipeline, before) != before


def _streams(
    transport: Transport, pipeline: str, wanted: str | None, count: int, now_ns: int
) -> tuple[tuple[StreamSeen, ...], tuple[str, ...]]:
    """Return the streams to look at, with the newest record of each track and the newest result, and all names."""
    if wanted is None:
        partitions: Sequence[int] = range(count)
        tails: tuple[int, ...] = (_TAIL_OF_ALL,)
    else:
        partitions, tails = (partition_of(wanted.encode(), count),), _TAILS_OF_ONE
    found: dict[str, StreamSeen] = {}
    for tail in tails:
        records = read_tail(transport, [TopicPartition(topic, p) for topic in INPUT_TOPICS for p in partitions], tail)
        found = _tracks(records)
        if wanted is None or wanted in found:
            break
    known = tuple(sorted(found))
    if wanted is not None:
        found = {wanted: found.get(wanted) or StreamSeen(wanted)}
        known = known if found[wanted].tracks or count == 1 else tuple(sorted(_names(transport, count)))
    else:
        found = {name: seen for name, seen in found.items() if (seen.newest_ns or 0) > now_ns - _DAY_NS}
    results = _newest_results(transport, [TopicPartition(results_topic(pipeline), p) for p in partitions], tails[-1])
    return tuple(_with_result(seen, results.get(name)) for name, seen in sorted(found.items())), known


def _names(transport: Transport, count: int) -> set[str]:
    tps = [TopicPartition(topic, p) for topic in INPUT_TOPICS for p in range(count)]
    return set(_tracks(read_tail(transport, tps, _TAIL_OF_ALL)))


def _tracks(records: Iterable[Record]) -> dict[str, StreamSeen]:
    """Return the streams of these records, which are in the order of each partition."""
    newest: dict[str, dict[Modality, TrackSeen]] = {}
    first: dict[str, int] = {}
    for record in records:
        stream, modality = _name(record), MODALITY_OF[record.topic]
        newest.setdefault(stream, {})[modality] = TrackSeen(modality, record.arrival_ns, ended=_END in record.headers)
        first[stream] = min(first.get(stream, record.arrival_ns), record.arrival_ns)
    return {
        stream: StreamSeen(stream, tuple(tracks[m] for m in MODALITIES if m in tracks), first[stream])
        for stream, tracks in newest.items()
    }


def _newest_results(transport: Transport, tps: Sequence[TopicPartition], tail: int) -> dict[str, Record]:
    return {_name(record): record for record in read_tail(transport, tps, tail)}


def _with_result(seen: StreamSeen, record: Record | None) -> StreamSeen:
    if record is None:
        return seen
    try:
        last_ms = decode_result(record.key, record.value, record.headers).arrival_ms.last
    except MalformedRecordError:
        return seen
    # A window without a record says nothing about what is processed but its own time.
    processed_ns = record.arrival_ns if last_ms is None else last_ms * NS_PER_MS
    return replace(seen, result_ns=record.arrival_ns, processed_ns=processed_ns)


def _name(record: Record) -> str:
    return (record.key or b"").decode(errors="replace")


def _inputs(streams: Iterable[StreamSeen], count: int) -> list[TopicPartition]:
    partitions = sorted({partition_of(seen.stream.encode(), count) for seen in streams})
    return [TopicPartition(topic, partition) for partition in partitions for topic in INPUT_TOPICS]


def _committed(transport: Transport, pipeline: str, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
    """Return the group's committed offsets, without joining it."""
    with closing(transport.group_consumer(INPUT_TOPICS, consumer_group(pipeline))) as consumer:
        commits = consumer.committed(tps)
    return {tp: None if commit is None else commit.offset for tp, commit in commits.items()}


def _with_lag(
    transport: Transport,
    streams: tuple[StreamSeen, ...],
    committed: Mapping[TopicPartition, int | None],
    count: int,
) -> tuple[StreamSeen, ...]:
    if not committed:
        return streams
    with closing(transport.reader(dict.fromkeys(committed, 0))) as reader:
        begins, ends = reader.begin_offsets(committed), reader.end_offsets(committed)
        begins = {tp: max(begins[tp], offset or 0) for tp, offset in committed.items()}
        behind = {tp: at for tp, at in begins.items() if at < ends[tp]}
        oldest = _first_arrivals(reader, behind, set(committed))
    found = []
    for seen in streams:
        tps = [TopicPartition(topic, partition_of(seen.stream.encode(), count)) for topic in TOPIC_OF.values()]
        unread = sum(ends[tp] - behind[tp] for tp in tps if tp in behind)
        arrivals = [oldest[tp] for tp in tps if tp in oldest]
        found.append(replace(seen, unread=unread, oldest_unread_ns=min(arrivals, default=None)))
    return tuple(found)


def _first_arrivals(
    reader: Reader, behind: Mapping[TopicPartition, int], assigned: set[TopicPartition]
) -> dict[TopicPartition, int]:
    """Return the arrival time of the first record at or after each of these offsets."""
    reader.pause(assigned - behind.keys())
    for tp, offset in behind.items():
        reader.seek(tp, offset)
    found: dict[TopicPartition, int] = {}
    deadline_s = time.monotonic() + _FIRST_RECORDS_S
    while len(found) < len(behind) and time.monotonic() < deadline_s:
        for record in reader.poll(_POLL_S).records:
            found.setdefault(record.tp, record.arrival_ns)
        reader.pause(found)
    return found


def _with_letters(
    transport: Transport, pipeline: str, streams: tuple[StreamSeen, ...], now_ns: int
) -> tuple[StreamSeen, ...]:
    dead = read_letters(transport, pipeline, since_ns=now_ns - _DAY_NS)
    waiting = [letter for letter in dead.newest() if dead.state(letter) != "redriven"]
    found = []
    for seen in streams:
        own = [letter for letter in waiting if letter.stream == seen.stream]
        newest_ns = max((letter.appended_ns for letter in own), default=0)
        reasons = tuple(sorted({letter.code for letter in own}))
        found.append(replace(seen, letters=LettersSeen(len(own), newest_ns, reasons)))
    return tuple(found)


def _is_behind(streams: Iterable[StreamSeen], seen: PipelineSeen) -> bool:
    limit_ns = seen.now_ns - seen.allowed_ns
    return any(each.oldest_unread_ns is not None and each.oldest_unread_ns < limit_ns for each in streams)


def _at_redis(seen: PipelineSeen, index: ResultIndex) -> PipelineSeen:
    known = tuple(sorted({*seen.known, *index.streams()}))
    streams = tuple(replace(each, kept_ns=index.newest_ns(each.stream)) for each in seen.streams)
    return replace(seen, known=known, streams=streams)
