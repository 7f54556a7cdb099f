"""Reading partitions from a place on to the end that they have at the start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from triptych.transport.errors import BrokerUnavailableError, TopicMissingError
from triptych.transport.protocols import Reader, Transport
from triptych.transport.records import Record, TopicPartition

_POLL_S: Final = 0.2
_PATIENCE_S: Final = 30.0

Progress = Callable[[int, int], None]
"""Told how many of how many are done."""


def no_progress(_done: int, _all: int) -> None:
    """Tell nobody."""


def partitions_of(transport: Transport, topic: str) -> tuple[TopicPartition, ...]:
    """Return all partitions of a topic; raise `TopicMissingError` where there is none."""
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
    """Read partitions from the records appended at these times (0: the first) to the ends that they have now."""
    reader = transport.reader(dict.fromkeys(since_ns, 0))
    try:
        begins = reader.begin_offsets(since_ns)
        later = {tp: moment_ns for tp, moment_ns in since_ns.items() if moment_ns}
        begins |= reader.offsets_for_times(later) if later else {}
        ends = reader.end_offsets(since_ns)
        yield from _read(reader, begins, ends, progress)
    finally:
        reader.close()


def read_range(
    transport: Transport, ranges: Mapping[TopicPartition, tuple[int, int]], *, progress: Progress = no_progress
) -> Iterator[Record]:
    """Read partitions from the first offset to the last, both included; what retention has taken is passed over."""
    reader = transport.reader({tp: first for tp, (first, _) in ranges.items()})
    try:
        oldest, ends = reader.begin_offsets(ranges), reader.end_offsets(ranges)
        begins = {tp: max(first, oldest[tp]) for tp, (first, _) in ranges.items()}
        yield from _read(reader, begins, {tp: min(last + 1, ends[tp]) for tp, (_, last) in ranges.items()}, progress)
    finally:
        reader.close()


def _read(
    reader: Reader, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], progress: Progress
) -> Iterator[Record]:
    for tp, offset in begins.items():
        reader.seek(tp, offset)
    total = sum(max(0, ends[tp] - offset) for tp, offset in begins.items())
    left = _unfinished(reader, tuple(begins), ends)
    until_s = time.monotonic() + _PATIENCE_S
    while left:
        records = reader.poll(_POLL_S).records
        yield from (record for record in records if record.offset < ends[record.tp])
        left = _unfinished(reader, left, ends)
        progress(total - sum(ends[tp] - reader.position(tp) for tp in left), total)
        if records:
            until_s = time.monotonic() + _PATIENCE_S
        elif left and time.monotonic() >= until_s:
            raise BrokerUnavailableError(f"{left[0].topic} {left[0].partition}: no record came for {_PATIENCE_S:g} s")


def _unfinished(
    reader: Reader, tps: Sequence[TopicPartition], ends: Mapping[TopicPartition, int]
) -> tuple[TopicPartition, ...]:
    """Return the partitions that are not read to their end; the others are paused."""
    left = tuple(tp for tp in tps if reader.position(tp) < ends[tp])
    reader.pause(set(tps) - set(left))
    return left
