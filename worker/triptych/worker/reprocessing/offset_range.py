"""Where a span lies in the log, and whether retention has taken its beginning."""

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
class Edges:
    """Offsets of each input partition: where the lead, the span and what comes after it begin.

    `maybe_gone`: partitions whose oldest record came after the span's beginning, others having been deleted. `cut`: the
    same for the lead.
    """

    lead: Mapping[TopicPartition, int]
    begin: Mapping[TopicPartition, int]
    end: Mapping[TopicPartition, int]
    maybe_gone: frozenset[TopicPartition]
    cut: frozenset[TopicPartition]

    @property
    def oldest(self) -> frozenset[TopicPartition]:
        """Those of `maybe_gone` on which something is left that arrived in the span."""
        return frozenset(tp for tp in self.maybe_gone if self.begin[tp] < self.end[tp])

    @property
    def records(self) -> int:
        """How many records arrived in the span, at most."""
        return sum(max(0, end - self.begin[tp]) for tp, end in self.end.items())


def find_edges(transport: Transport, span: TimeRange, partitions: int) -> Edges:
    """Ask the broker; the same span gives the same offsets whenever it is asked, but for what retention takes."""
    tps = [TopicPartition(topic, number) for topic in INPUT_TOPICS for number in range(partitions)]
    with closing(transport.reader(dict.fromkeys(tps, 0))) as reader:
        oldest = reader.begin_offsets(tps)
        lead, begin, end = (
            reader.offsets_for_times(dict.fromkeys(tps, at_ns))
            for at_ns in (span.read_from_ns, span.from_ns, span.until_ns)
        )
    return Edges(lead, begin, end, maybe_gone=_beginning_at(oldest, begin), cut=_beginning_at(oldest, lead))


def _beginning_at(
    oldest: Mapping[TopicPartition, int], first: Mapping[TopicPartition, int]
) -> frozenset[TopicPartition]:
    """Return the partitions that lost records and have none left from before these offsets."""
    return frozenset(tp for tp, offset in oldest.items() if offset > 0 and first[tp] <= offset)


def may_be_deleted(topic: TopicState, since_ns: int, now_ns: int) -> bool:
    """Tell whether retention may have taken records that arrived after `since_ns` from a topic. Pure.

    A partition on which nothing came for long is empty, and has lost nothing of the span: only its topic's settings
    can tell.
    """
    retention_ms = int(topic.configs.get("retention.ms", "-1"))
    by_bytes = int(topic.configs.get("retention.bytes", "-1")) >= 0
    return by_bytes or (retention_ms >= 0 and since_ns < now_ns - retention_ms * NS_PER_MS)
