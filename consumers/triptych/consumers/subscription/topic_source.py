"""Results from the results topic, over any transport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from triptych.consumers.subscription.cursor import Cursor, Start, check_cursor
from triptych.consumers.subscription.log_reading import read_tail
from triptych.consumers.subscription.result_source import FeedEvent, Gap, MalformedEvent, OtherStreamEvent, ResultEvent
from triptych.schemas.codec import decode_result
from triptych.schemas.errors import MalformedRecordError, UsageError
from triptych.schemas.names import results_topic
from triptych.schemas.partition import partition_of
from triptych.transport.errors import TopicMissingError
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import OffsetOutOfRange, Record, TopicPartition, Unreadable

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
        tps = self._partitions(stream)
        # Only a reader can look up offsets, so it starts at 0 and seeks before its first poll.
        reader = self._transport.reader(dict.fromkeys(tps, 0))
        try:
            offsets = _start_offsets(reader, tps, start)
            ends = reader.end_offsets(tps) if until_end else None
            if until is not None:
                ends = {tp: _offset(until.positions.get(str(tp.partition), "0")) for tp in tps}
            for tp, offset in offsets.items():
                reader.seek(tp, offset)
        except BaseException:
            reader.close()
            raise
        return TopicFeed(reader, offsets, ends, pipeline=self._pipeline, stream=stream)

    def streams(self) -> tuple[str, ...]:
        """Return the streams of the newest results of each partition."""
        newest = read_tail(self._transport, self._partitions(None), _NEWEST_RESULTS)
        return tuple(sorted({(record.key or b"").decode(errors="replace") for record in newest}))

    def close(self) -> None:
        """Close the transport if this source owns it."""
        if self._owns_transport:
            self._transport.close()

    def _partitions(self, stream: str | None) -> list[TopicPartition]:
        topic = results_topic(self._pipeline)
        admin = self._transport.admin()
        try:
            count = admin.partition_count(topic)
        finally:
            admin.close()
        if not count:
            raise TopicMissingError(
                f"topic {topic}: expected results of pipeline {self._pipeline!r}, found no such topic; "
                f"`triptych topics create --pipeline {self._pipeline}` creates it"
            )
        numbers = range(count) if stream is None else (partition_of(stream.encode(), count),)
        return [TopicPartition(topic, number) for number in numbers]


class TopicFeed:
    """One pass over partitions of the results topic (see `ResultFeed`)."""

    def __init__(
        self,
        reader: Reader,
        begin: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int] | None,
        *,
        pipeline: str,
        stream: str | None,
    ) -> None:
        self._reader = reader
        self._begin = begin
        self._ends = ends
        self._open = None if ends is None else {tp for tp, end in ends.items() if begin[tp] < end}
        self._pipeline = pipeline
        self._key = None if stream is None else stream.encode()

    def poll(self, timeout_s: float) -> Sequence[FeedEvent]:
        """Return the next events. While the broker is unavailable, return none."""
        if self.done():
            return ()
        polled = self._reader.poll(timeout_s)
        events = [_gap(jump) for jump in polled.out_of_range]
        events += [_unreadable_gap(span) for span in polled.unreadable]
        events += [self._event(record) for record in polled.records if self._is_before_end(record)]
        self._finish_partitions()
        return events

    def done(self) -> bool:
        """Return whether every partition is read up to its end, if the feed has one."""
        return self._open is not None and not self._open

    def cursor(self, read: Mapping[str, str]) -> Cursor:
        """Return the cursor over all partitions of this feed."""
        begin = {str(tp.partition): str(offset) for tp, offset in self._begin.items()}
        return Cursor("kafka", self._pipeline, begin | dict(read))

    def close(self) -> None:
        """Close the reader."""
        self._reader.close()

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


def _gap(jump: OffsetOutOfRange) -> FeedEvent:
    missed = jump.resumed - jump.wanted
    return Gap(str(jump.tp.partition), str(jump.resumed), missed if missed > 0 else None)


def _unreadable_gap(span: Unreadable) -> FeedEvent:
    return Gap(str(span.tp.partition), str(span.next_offset), span.next_offset - span.offset)


def _start_offsets(reader: Reader, tps: Sequence[TopicPartition], start: Start) -> dict[TopicPartition, int]:
    match start:
        case None:
            return reader.begin_offsets(tps)
        case Cursor():
            # A partition that the cursor does not name has not been read yet.
            return {tp: _offset(start.positions.get(str(tp.partition), "0")) for tp in tps}
        case int():
            return reader.offsets_for_times(dict.fromkeys(tps, start))
        case "now":
            return reader.end_offsets(tps)


def _offset(position: str) -> int:
    if not (position.isascii() and position.isdigit()):
        raise UsageError(f"expected a cursor with offsets, got {position!r} in it")
    return int(position)
