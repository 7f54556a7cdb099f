"""Look at a pipeline: topics, consumer group, dead letters, results in Kafka and in Redis. Reads only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from triptych.consumers.dead.letters import read_letters
from triptych.consumers.doctor.observations import PATIENCE_NS, LettersSeen, PipelineSeen, StreamSeen, TrackSeen
from triptych.consumers.subscription.log_reading import read_tail
from triptych.consumers.subscription.result_source import SourceError
from triptych.schemas.codec import decode, decode_result
from triptych.schemas.errors import MalformedRecordError
from triptych.schemas.names import (
    INPUT_TOPICS,
    MODALITIES,
    MODALITY_OF,
    TOPIC_OF,
    Modality,
    consumer_group,
    results_topic,
)
from triptych.schemas.partition import partition_of
from triptych.schemas.records import End, MediaRecord
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
    found: dict[str, _Newest] = {}
    for tail in tails:
        found = _newest(
            read_tail(transport, [TopicPartition(topic, p) for topic in INPUT_TOPICS for p in partitions], tail)
        )
        if wanted is None or wanted in found:
            break
    known = tuple(sorted(found))
    if wanted is None:
        found = {name: newest for name, newest in found.items() if newest.arrival_ns > now_ns - _DAY_NS}
    elif wanted in found:
        found = {wanted: found[wanted]}
    else:
        everywhere = _everywhere(transport, count)
        known = tuple(sorted(everywhere))
        found = {wanted: everywhere.get(wanted, _Newest())}
        partitions = range(count)  # it may have been on another one before the topics grew
    tps = [TopicPartition(results_topic(pipeline), p) for p in partitions]
    results = _newest_results(transport, tps, tails, wanted)
    return tuple(newest.seen(name, results.get(name)) for name, newest in sorted(found.items())), known


def _everywhere(transport: Transport, count: int) -> dict[str, _Newest]:
    """Return the streams of the newest records of all partitions."""
    tps = [TopicPartition(topic, p) for topic in INPUT_TOPICS for p in range(count)]
    return _newest(read_tail(transport, tps, _TAIL_OF_ALL))


@dataclass(slots=True)
class _NewestResults:
    """The newest results of a stream: when the last came, and the newest record that they are based on."""

    arrival_ns: int = 0
    last_ms: int = 0


@dataclass(slots=True)
class _Newest:
    """The newest records of a stream: of each track, and the arrival times of all that is media."""

    tracks: dict[Modality, TrackSeen] = field(default_factory=dict)
    media_ns: list[int] = field(default_factory=list)

    @property
    def arrival_ns(self) -> int:
        return max((track.arrival_ns for track in self.tracks.values()), default=0)

    def add(self, record: Record) -> None:
        """Add a record. One that is not valid is a matter of the dead letters."""
        modality = MODALITY_OF[record.topic]
        try:
            decoded = decode(record.key, record.value, record.headers, modality=modality)
        except MalformedRecordError:
            return
        self.tracks[modality] = TrackSeen(modality, record.arrival_ns, ended=isinstance(decoded, End))
        if isinstance(decoded, MediaRecord):
            self.media_ns.append(record.arrival_ns)

    def seen(self, stream: str, results: _NewestResults | None) -> StreamSeen:
        """Return what is seen of the stream."""
        last_ms = 0 if results is None else results.last_ms
        return StreamSeen(
            stream,
            tuple(self.tracks[modality] for modality in MODALITIES if modality in self.tracks),
            first_ns=min(self.media_ns, default=None),
            result_ns=None if results is None else results.arrival_ns,
            waiting_since_ns=min((ns for ns in self.media_ns if ns // NS_PER_MS > last_ms), default=None),
        )


def _newest(records: Iterable[Record]) -> dict[str, _Newest]:
    """Return the streams of these records, which are in the order of each partition."""
    found: dict[str, _Newest] = {}
    for record in records:
        found.setdefault(_name(record), _Newest()).add(record)
    return {stream: newest for stream, newest in found.items() if newest.tracks}


def _newest_results(
    transport: Transport, tps: Sequence[TopicPartition], tails: Sequence[int], wanted: str | None
) -> dict[str, _NewestResults]:
    """Return the newest results of each stream, from the shortest of the tails that holds the wanted one."""
    found: dict[str, _NewestResults] = {}
    for tail in tails:
        for record in read_tail(transport, tps, tail):
            try:
                last_ms = decode_result(record.key, record.value, record.headers).arrival_ms.last or 0
            except MalformedRecordError:
                continue
            newest = found.setdefault(_name(record), _NewestResults())
            newest.arrival_ns = max(newest.arrival_ns, record.arrival_ns)
            newest.last_ms = max(newest.last_ms, last_ms)
        if wanted is None or wanted in found:
            break
    return found


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
