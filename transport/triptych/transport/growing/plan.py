"""Plan how the topics of an installation grow. Pure: no clock, no I/O.

All pipelines read the same input topics, and all topics of a pipeline must have the same number of partitions. So the
topics of all pipelines grow together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from triptych.schemas.names import INPUT_TOPICS, dead_topic, results_topic
from triptych.schemas.partition import partition_of
from triptych.transport.errors import StopError
from triptych.transport.topics import all_topics, pipeline_topics

_RESULTS_SUFFIX: Final = results_topic("")


class GrowthRefusedError(StopError):
    """The topics cannot grow, or not now. The message says why, and what to do."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class TopicGrowth:
    """One topic: its number of partitions before and after."""

    topic: str
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class GrowthPlan:
    """What is to be done.

    Attributes:
        partitions: the number of partitions that all topics will have.
        pipelines: the pipelines of the installation.
        counts: the present number of partitions of each topic.
    """

    partitions: int
    pipelines: tuple[str, ...]
    counts: Mapping[str, int]

    @property
    def steps(self) -> tuple[TopicGrowth, ...]:
        """The topics that grow. Inputs come last: a stream moves when its producer sees that they have grown."""
        names = sorted(self.counts, key=lambda topic: (topic in INPUT_TOPICS, topic))
        changes = (TopicGrowth(topic, self.counts[topic], self.partitions) for topic in names)
        return tuple(change for change in changes if change.before != change.after)

    @property
    def is_interrupted(self) -> bool:
        """Whether the topics differ now, so that workers wait: an earlier growth was interrupted, or done by hand."""
        return len(set(self.counts.values())) > 1

    @property
    def input_partitions(self) -> int:
        """The number of partitions that all input topics have: the smallest one, if a growth was interrupted."""
        return min(self.counts[topic] for topic in INPUT_TOPICS)

    def moved(self, streams: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return the partition of each of these streams that moves, before and after."""
        places = {
            stream: (
                partition_of(stream.encode(), self.input_partitions),
                partition_of(stream.encode(), self.partitions),
            )
            for stream in streams
        }
        return {stream: (before, after) for stream, (before, after) in places.items() if before != after}


def pipelines_of(topics: Collection[str]) -> tuple[str, ...]:
    """Return the pipelines of an installation with these topics: those that have results and dead letters."""
    names = {topic.removesuffix(_RESULTS_SUFFIX) for topic in topics if topic.endswith(_RESULTS_SUFFIX)}
    return tuple(sorted(name for name in names if name and dead_topic(name) in topics))


def plan_growth(counts: Mapping[str, int], pipeline: str, partitions: int) -> GrowthPlan:
    """Return the plan for topics with these numbers of partitions.

    Args:
        counts: the number of partitions of each topic of the broker.
        pipeline: a pipeline that must exist.
        partitions: the wanted number of partitions.

    Raises:
        GrowthRefusedError: a topic is missing, or has more partitions than wanted.
    """
    missing = [topic for topic in pipeline_topics(pipeline) if topic not in counts]
    if missing:
        raise GrowthRefusedError(f"no such topic: {', '.join(missing)}; `triptych topics create` creates it")
    pipelines = pipelines_of(counts)
    ours = {topic: counts[topic] for name in pipelines for topic in all_topics(name) if topic in counts}
    larger = [f"{topic} has {count}" for topic, count in sorted(ours.items()) if count > partitions]
    if larger:
        raise GrowthRefusedError(
            f"--partitions {partitions}: {', '.join(larger)}, and Kafka cannot remove partitions. Expected a number of "
            f"at least {max(ours.values())}; fewer partitions need new topics"
        )
    return GrowthPlan(partitions, pipelines, ours)
