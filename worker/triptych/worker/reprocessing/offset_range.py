"""The offsets of a time range in the log, and whether retention has deleted its beginning."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

from triptych.schemas.names import INPUT_TOPICS
from triptych.transport.protocols import Transport
from triptych.transport.records import TopicPartition
from triptych.transport.topic_settings import TopicState
from triptych.units import NS_PER_MS
from triptych.worker.reprocessing.time_range import TimeRange


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """The offsets of each input partition at which the parts of a time range begin.

    Attributes:
        lead: the first record of the lead.
        begin: the first record of the range.
        end: the first record after the range.
        maybe_truncated: partitions that lost records and have none left from before the range.
        lead_maybe_truncated: the same for the lead.
    """

    lead: Mapping[TopicPartition, int]
    begin: Mapping[TopicPartition, int]
    end: Mapping[TopicPartition, int]
    maybe_truncated: frozenset[TopicPartition]
    lead_maybe_truncated: frozenset[TopicPartition]

    @property
    def from_oldest(self) -> frozenset[TopicPartition]:
        """The partitions of `maybe_truncated` that still have records of the range."""
        return frozenset(tp for tp in self.maybe_truncated if self.begin[tp] < self.end[tp])

    @property
    def records(self) -> int:
        """The number of records that arrived in the range, at most."""
        return sum(max(0, end - self.begin[tp]) for tp, end in self.end.items())


def find_offset_range(transport: Transport, time_range: TimeRange, partitions: int) -> OffsetRange:
    """Request the offsets of a time range from the broker. Blocks.

    The answer for the same range is always the same, except for records that retention deletes.
    """
    tps = [TopicPartition(topic, partition) for topic in INPUT_TOPICS for partition in range(partitions)]
    with closing(transport.reader(dict.fromkeys(tps, 0))) as reader:
        oldest = reader.begin_offsets(tps)
        lead, begin, end = (
            reader.offsets_for_times(dict.fromkeys(tps, at_ns))
            for at_ns in (time_range.read_from_ns, time_range.from_ns, time_range.until_ns)
        )
    return OffsetRange(
        lead,
        begin,
        end,
        maybe_truncated=_without_older_records(oldest, begin),
        lead_maybe_truncated=_without_older_records(oldest, lead),
    )


def _without_older_records(
    oldest: Mapping[TopicPartition, int], first: Mapping[TopicPartition, int]
) -> frozenset[TopicPartition]:
    """Return the partitions that lost records and have none left from before the `first` offsets."""
    return frozenset(tp for tp, offset in oldest.items() if offset > 0 and first[tp] <= offset)


def may_be_deleted(topic: TopicState, since_ns: int, now_ns: int) -> bool:
    """Return whether retention may have deleted records that arrived after `since_ns`. Pure.

    An empty partition may only have been idle for long: the settings of its topic decide.
    """
    retention_ms = int(topic.configs.get("retention.ms", "-1"))
    by_bytes = int(topic.configs.get("retention.bytes", "-1")) >= 0
    return by_bytes or (retention_ms >= 0 and since_ns < now_ns - retention_ms * NS_PER_MS)
