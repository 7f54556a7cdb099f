"""Results from the results topic, over any transport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Final

import structlog

from triptych.consumers.subscription.cursor import TOPIC_PLACE, Cursor, Start, check_cursor
from triptych.consumers.subscription.log_reading import read_tail
from triptych.consumers.subscription.result_source import (
    FeedEvent,
    Gap,
    MalformedEvent,
    OtherStreamEvent,
    ResultEvent,
)
from triptych.consumers.subscription.topic_changes import TopicChangeDetector, reopened, was_recreated
from triptych.schemas.codec import decode_result
from triptych.schemas.errors import MalformedRecordError, UsageError
from triptych.schemas.names import results_topic
from triptych.schemas.partition import partition_of
from triptych.transport.errors import RetriableError, TopicMissingError
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import OffsetOutOfRange, Record, TopicPartition, Unreadable
from triptych.transport.topic_settings import TopicIdentity

log = structlog.get_logger(__name__)

_NEWEST_RESULTS: Final = 500


class TopicSource:
    """The results topic of a pipeline (see `ResultSource`)."""

    def __init__(self, transport: Transport, *, pipeline: str, owns_transport: bool = False) -> None:
        self._transport = transport
        self._pipeline = pipeline
        self._owns_transport = owns_transport

    def open(self, start: Start, *, stream: str | None, until_end: bool, until: Cursor | None = None) -> TopicFeed:
        """Start a feed over all partitions, or over the partition of `stream`."""
        for cursor in (start, until):
            if isinstance(cursor, Cursor):
                check_cursor(cursor, "kafka", self._pipeline)
        identity = self._identity()  # before the offsets, so that they are never of an older topic than the id
        tps = _partitions(self._pipeline, stream, identity.partitions)
        # Only a reader can look up offsets, so it starts at 0 and seeks before its first poll.
        reader = self._transport.reader(dict.fromkeys(tps, 0))
        try:
            is_other = isinstance(start, Cursor) and was_recreated(start.topic_id, identity.id)
            offsets = _start_offsets(reader, tps, None if is_other else start)
            ends = reader.end_offsets(tps) if until_end else None
            if until is not None:
                ends = dict.fromkeys(tps, 0) if was_recreated(until.topic_id, identity.id) else _positions(until, tps)
            for tp, offset in offsets.items():
                reader.seek(tp, offset)
            topic = _KnownTopic(self._transport, self._pipeline, stream, identity)
            return TopicFeed(topic, reader, offsets, ends, is_other=is_other)
        except BaseException:
            reader.close()
            raise

    def streams(self) -> tuple[str, ...]:
        """Return the streams of the newest results of each partition."""
        tps = _partitions(self._pipeline, None, self._identity().partitions)
        newest = read_tail(self._transport, tps, _NEWEST_RESULTS)
        return tuple(sorted({(record.key or b"").decode(errors="replace") for record in newest}))

    def close(self) -> None:
        """Close the transport if this source owns it."""
        if self._owns_transport:
            self._transport.close()

    def _identity(self) -> TopicIdentity:
        topic = results_topic(self._pipeline)
        with closing(self._transport.admin()) as admin:
            identity = admin.identify([topic]).get(topic)
        if identity is None:
            raise TopicMissingError(
                f"topic {topic}: expected results of pipeline {self._pipeline!r}, found no such topic; "
                f"`triptych topics create --pipeline {self._pipeline}` creates it"
            )
        return identity


@dataclass(frozen=True, slots=True)
class _KnownTopic:
    """The results topic of a pipeline as it was when it was last asked for, and what is read of it."""

    transport: Transport
    pipeline: str
    stream: str | None
    identity: TopicIdentity

    @property
    def tps(self) -> list[TopicPartition]:
        """The partitions to read."""
        return _partitions(self.pipeline, self.stream, self.identity.partitions)


class TopicFeed:
    """One pass over partitions of the results topic (see `ResultFeed`). It follows a topic that changes.

    Without an end, it also reads the partitions that the topic gets later. If the topic is deleted and created again,
    it reads the new one from its beginning; a pass with an end is over then, as the results up to there are gone.
    """

    def __init__(
        self,
        topic: _KnownTopic,
        reader: Reader,
        begin: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int] | None,
        *,
        is_other: bool,
    ) -> None:
        """Read on with this reader, which is at these offsets. The feed closes it.

        Args:
            topic: what is read.
            reader: reads its partitions.
            begin: the positions of the reader.
            ends: where the pass ends; None if it has no end.
            is_other: whether the topic was created again since the cursor with which the feed was to begin.
        """
        self._topic = topic
        self._reader = reader
        self._tps = tuple(begin)
        self._begin = {str(tp.partition): str(offset) for tp, offset in begin.items()}
        self._begin_id = topic.identity.id
        self._ends = ends
        self._open = None if ends is None else {tp for tp, end in ends.items() if begin[tp] < end}
        self._key = None if topic.stream is None else topic.stream.encode()
        self._waiting: list[FeedEvent] = [_recreated_gap(topic.identity)] if is_other else []
        self._changes = TopicChangeDetector(topic.transport, results_topic(topic.pipeline), topic.identity)

    def poll(self, timeout_s: float) -> Sequence[FeedEvent]:
        """Return the next events. While the broker is unavailable, return none."""
        if (identity := self._changes.changed()) is not None:
            self._follow(identity)
        events, self._waiting = self._waiting, []
        if events or self.done():
            return events
        polled = self._reader.poll(timeout_s)
        events += [_gap(jump) for jump in polled.out_of_range]
        events += [_unreadable_gap(span) for span in polled.unreadable]
        events += [self._event(record) for record in polled.records if self._is_before_end(record)]
        self._finish_partitions()
        return events

    def done(self) -> bool:
        """Return whether every partition is read up to its end, if the feed has one."""
        return self._open is not None and not self._open and not self._waiting

    def cursor(self, read: Mapping[str, str]) -> Cursor:
        """Return the cursor over all partitions of this feed."""
        positions = self._begin | dict(read)
        # The id changes when the event that says so is handled: until then, some positions are of the topic before.
        topic_id = positions.pop(TOPIC_PLACE, self._begin_id)
        return Cursor("kafka", self._topic.pipeline, positions, topic_id)

    def close(self) -> None:
        """Close the reader."""
        self._changes.close()
        self._reader.close()

    def _follow(self, identity: TopicIdentity) -> None:
        """Read on in a topic that has changed. If the broker does not answer, the next poll tries again."""
        is_other = was_recreated(self._topic.identity.id, identity.id)
        topic = replace(self._topic, identity=identity)
        tps = dict.fromkeys(topic.tps if is_other else (*self._tps, *topic.tps))
        if self._open is None:
            try:
                self._reader = reopened(topic.transport, self._reader, self._tps, tps, anew=is_other)
            except RetriableError as error:
                log.warning("topic_unavailable", topic=results_topic(topic.pipeline), reason=str(error))
                return
        elif is_other:
            self._open.clear()
        self._changes.accept(identity)
        if is_other:
            places = (str(tp.partition) for tp in dict.fromkeys((*self._tps, *tps)))
            self._waiting += [OtherStreamEvent(place, "0") for place in places]
            self._waiting.append(_recreated_gap(identity))
        elif self._open is None:
            log.info("results_topic_grown", before=len(self._tps), partitions=len(tps))
        self._topic, self._tps = topic, tuple(tps)

    def _is_before_end(self, record: Record) -> bool:
        return self._ends is None or record.offset < self._ends[record.tp]

    def _finish_partitions(self) -> None:
        if self._open is None or self._ends is None:
            return
        ended = {tp for tp in self._open if self._reader.position(tp) >= self._ends[tp]}
        self._open -= ended
        self._reader.pause(ended)  # records after the end do not belong to this feed

    def _event(self, record: Record) -> FeedEvent:
        place, position = str(record.partition), str(record.offset + 1)
        if self._key is not None and record.key != self._key:
            return OtherStreamEvent(place, position)
        try:
            result = decode_result(record.key, record.value, record.headers)
        except MalformedRecordError as error:
            return MalformedEvent(place, position, error)
        return ResultEvent(place, position, result, record.value)


def _partitions(pipeline: str, stream: str | None, count: int) -> list[TopicPartition]:
    numbers = range(count) if stream is None else (partition_of(stream.encode(), count),)
    return [TopicPartition(results_topic(pipeline), number) for number in numbers]


def _recreated_gap(identity: TopicIdentity) -> FeedEvent:
    return Gap(TOPIC_PLACE, identity.id, None, "recreated")


def _gap(jump: OffsetOutOfRange) -> FeedEvent:
    missed = jump.resumed - jump.wanted
    place, position = str(jump.tp.partition), str(jump.resumed)
    return Gap(place, position, missed) if missed > 0 else Gap(place, position, None, "truncated")


def _unreadable_gap(span: Unreadable) -> FeedEvent:
    return Gap(str(span.tp.partition), str(span.next_offset), span.next_offset - span.offset)


def _start_offsets(reader: Reader, tps: Sequence[TopicPartition], start: Start) -> dict[TopicPartition, int]:
    match start:
        case None:
            return reader.begin_offsets(tps)
        case Cursor():
            return _positions(start, tps)
        case int():
            return reader.offsets_for_times(dict.fromkeys(tps, start))
        case "now":
            return reader.end_offsets(tps)


def _positions(cursor: Cursor, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    # A partition that the cursor does not name has not been read yet.
    return {tp: _offset(cursor.positions.get(str(tp.partition), "0")) for tp in tps}


def _offset(position: str) -> int:
    if not (position.isascii() and position.isdigit()):
        raise UsageError(f"expected a cursor with offsets, got {position!r} in it")
    return int(position)
