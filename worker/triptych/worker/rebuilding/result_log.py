"""Read the results topic in the order in which its results were published, over all partitions."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Final

from triptych.schemas.names import results_topic
from triptych.transport.errors import BrokerUnavailableError, TopicMissingError
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import Record, TopicPartition

Progress = Callable[[int, int], None]
"""Called with the number of offsets read and the total."""

_POLL_S: Final = 0.2
_MAX_SILENCE_S: Final = 30.0
_BUFFERED_RECORDS: Final = 2_000
"""At how many records a partition that is ahead of the others is paused."""


def results_in_order(transport: Transport, pipeline: str, *, since_ns: int, progress: Progress) -> Iterator[Record]:
    """Yield the records that were appended from `since_ns` until now, ordered by their time of arrival.

    A stream has results on two partitions after the topics have grown, so the order within each is not enough.

    Raises:
        TopicMissingError: the pipeline has no results topic.
        BrokerUnavailableError: no record came in 30 s of waiting. What the caller does with a record does not count.
    """
    topic = results_topic(pipeline)
    with closing(transport.admin()) as admin:
        count = admin.partition_count(topic)
    if not count:
        raise TopicMissingError(f"{topic}: expected the results of pipeline {pipeline!r}, found no such topic")
    tps = [TopicPartition(topic, number) for number in range(count)]
    with closing(transport.reader(dict.fromkeys(tps, 0))) as reader:
        begins = reader.begin_offsets(tps)
        if since_ns:
            begins |= reader.offsets_for_times(dict.fromkeys(tps, since_ns))
        for tp, offset in begins.items():
            reader.seek(tp, offset)
        yield from _merged(reader, begins, reader.end_offsets(tps), progress)


def _merged(
    reader: Reader,
    begins: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    progress: Progress,
) -> Iterator[Record]:
    waiting: dict[TopicPartition, deque[Record]] = {tp: deque() for tp in begins}
    total = sum(max(0, ends[tp] - begin) for tp, begin in begins.items())
    silence_s = 0.0
    while True:
        unread = {tp for tp in waiting if reader.position(tp) < ends[tp]}
        while all(waiting[tp] for tp in unread) and any(waiting.values()):
            first = min((records for records in waiting.values() if records), key=lambda records: records[0].arrival_ns)
            yield first.popleft()
        progress(total - sum(ends[tp] - reader.position(tp) for tp in unread), total)
        if not unread:
            return
        full = {tp for tp in unread if len(waiting[tp]) >= _BUFFERED_RECORDS}
        reader.pause(waiting.keys() - unread | full)
        reader.resume(unread - full)
        asked_s = time.monotonic()
        records = reader.poll(_POLL_S).records
        for record in records:
            if record.offset < ends[record.tp]:
                waiting[record.tp].append(record)
        silence_s = 0.0 if records else silence_s + time.monotonic() - asked_s
        if silence_s >= _MAX_SILENCE_S:
            raise BrokerUnavailableError(f"{min(unread)}: no record came for {_MAX_SILENCE_S:g} s")
