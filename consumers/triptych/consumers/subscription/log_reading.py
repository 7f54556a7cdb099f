"""Read partitions from a starting point up to the end offset that they have when reading starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from triptych.transport.errors import BrokerUnavailableError, TopicMissingError
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import Record, TopicPartition

_POLL_TIMEOUT_S: Final = 0.2
_MAX_SILENCE_S: Final = 30.0

Progress = Callable[[int, int], None]
"""Called with the number of records done and the total."""


def no_progress(_done: int, _total: int) -> None:
    """Report no progress."""


def partitions_of(transport: Transport, topic: str) -> tuple[TopicPartition, ...]:
    """Return all partitions of a topic.

    Raises:
        TopicMissingError: the topic does not exist.
    """
    admin = transport.admin()
    try:
        count = admin.partition_count(topic)
    finally:
        admin.close()
    if not count:
        raise TopicMissingError(f"topic {topic}: expected it on the broker, found no such topic")
    return tuple(TopicPartition(topic, number) for number in range(count))


def read_since(
    transport: Transport, since_ns: Mapping[TopicPartition, int], *, progress: Progress = no_progress
) -> Iterator[Record]:
    """Read partitions from the given append times (0: from the beginning) to their current end offsets.

    Raises:
        BrokerUnavailableError: no record came for 30 s.
    """
    reader = transport.reader(dict.fromkeys(since_ns, 0))
    try:
        begins = reader.begin_offsets(since_ns)
        later = {tp: time_ns for tp, time_ns in since_ns.items() if time_ns}
        begins |= reader.offsets_for_times(later) if later else {}
        ends = reader.end_offsets(since_ns)
        yield from _read(reader, begins, ends, progress)
    finally:
        reader.close()


def read_range(
    transport: Transport, ranges: Mapping[TopicPartition, tuple[int, int]], *, progress: Progress = no_progress
) -> Iterator[Record]:
    """Read partitions from a first to a last offset, both included. Offsets that retention deleted are skipped.

    Raises:
        BrokerUnavailableError: no record came for 30 s.
    """
    reader = transport.reader({tp: first for tp, (first, _) in ranges.items()})
    try:
        oldest, ends = reader.begin_offsets(ranges), reader.end_offsets(ranges)
        begins = {tp: max(first, oldest[tp]) for tp, (first, _) in ranges.items()}
        yield from _read(reader, begins, {tp: min(last + 1, ends[tp]) for tp, (_, last) in ranges.items()}, progress)
    finally:
        reader.close()


def read_tail(transport: Transport, tps: Sequence[TopicPartition], count: int) -> Iterator[Record]:
    """Read the newest `count` records of each partition, as far as they exist, up to its current end offset.

    Raises:
        BrokerUnavailableError: no record came for 30 s.
    """
    reader = transport.reader(dict.fromkeys(tps, 0))
    try:
        oldest, ends = reader.begin_offsets(tps), reader.end_offsets(tps)
        yield from _read(reader, {tp: max(oldest[tp], ends[tp] - count) for tp in tps}, ends, no_progress)
    finally:
        reader.close()


def records_after(transport: Transport, topic: str, positions: Mapping[str, str]) -> int:
    """Return how many records of a topic a reader with these positions, by partition, has yet to read.

    Raises:
        RetriableError: the broker does not answer.
    """
    tps = partitions_of(transport, topic)
    reader = transport.reader(dict.fromkeys(tps, 0))
    try:
        oldest, ends = reader.begin_offsets(tps), reader.end_offsets(tps)
    finally:
        reader.close()
    read = {tp: max(oldest[tp], int(positions.get(str(tp.partition), "0"))) for tp in tps}
    return sum(max(0, ends[tp] - read[tp]) for tp in tps)


def _read(
    reader: Reader, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], progress: Progress
) -> Iterator[Record]:
    for tp, offset in begins.items():
        reader.seek(tp, offset)
    total = sum(max(0, ends[tp] - offset) for tp, offset in begins.items())
    unfinished = _unfinished(reader, tuple(begins), ends)
    deadline_s = time.monotonic() + _MAX_SILENCE_S
    while unfinished:
        records = reader.poll(_POLL_TIMEOUT_S).records
        yield from (record for record in records if record.offset < ends[record.tp])
        unfinished = _unfinished(reader, unfinished, ends)
        progress(total - sum(ends[tp] - reader.position(tp) for tp in unfinished), total)
        if records:
            deadline_s = time.monotonic() + _MAX_SILENCE_S
        elif unfinished and time.monotonic() >= deadline_s:
            tp = unfinished[0]
            raise BrokerUnavailableError(f"{tp.topic} {tp.partition}: no record came for {_MAX_SILENCE_S:g} s")


def _unfinished(
    reader: Reader, tps: Sequence[TopicPartition], ends: Mapping[TopicPartition, int]
) -> tuple[TopicPartition, ...]:
    """Return the partitions that are not yet read to their end. Pause the others."""
    left = tuple(tp for tp in tps if reader.position(tp) < ends[tp])
    reader.pause(set(tps) - set(left))
    return left
