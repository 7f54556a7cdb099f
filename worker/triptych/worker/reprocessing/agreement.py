"""How the workers of a group agree on one time range: through the commit metadata of partition 0.

Workers that are started with the same command resolve `-2h` at different times. Therefore the first owner of partition
0 commits its range before it reads anything; the group protocol guarantees that there is only one owner. All other
workers, and every restart, read the range from there.
"""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from triptych.schemas.errors import UsageError
from triptych.schemas.names import INPUT_TOPICS, VIDEO_TOPIC, consumer_group, results_topic
from triptych.transport.errors import CommitRefusedError, RetriableError
from triptych.transport.protocols import GroupConsumer, Transport
from triptych.transport.records import Commit, TopicPartition
from triptych.worker.reprocessing.time_range import TimeRange

AGREEMENT_TP: Final = TopicPartition(VIDEO_TOPIC, 0)
"""The partition whose commit metadata holds the range first."""

_POLL_S: Final = 0.1
_RETRY_S: Final = 0.5
_AGREEMENT_LIMIT_S: Final = 20.0
"""How long a group may have members but no range: workers that have just been started join and agree in this time."""


@dataclass(frozen=True, slots=True)
class StoredRange:
    """The range that a group's commits store. `done`: every partition is published to its end."""

    time_range: TimeRange | None
    done: bool = False


def check_group(transport: Transport, pipeline: str, partitions: int) -> StoredRange:
    """Return the range that a pipeline's group has stored, after checking that it is not the group of a live pipeline.

    Blocks for up to 20 s while the group has members but no range.

    Raises:
        UsageError: the pipeline has commits, members or results that no reprocessing made.
    """
    deadline = time.monotonic() + _AGREEMENT_LIMIT_S
    while True:
        stored = read_stored_range(transport, pipeline, partitions)
        if stored.time_range is not None:
            return stored
        _check_no_results(transport, pipeline, partitions)
        with closing(transport.admin()) as admin:
            members = admin.members(consumer_group(pipeline))
        if not members:
            return stored
        if time.monotonic() >= deadline:
            raise UsageError(
                f"pipeline {pipeline} has {len(members)} workers that do not reprocess: its results and offsets are "
                "not touched; use another name with --pipeline"
            )
        time.sleep(_RETRY_S)


def read_stored_range(transport: Transport, pipeline: str, partitions: int) -> StoredRange:
    """Return the range that a pipeline's group has stored, without joining the group.

    Raises:
        UsageError: the group has commits of a live pipeline.
    """
    with closing(transport.group_consumer(INPUT_TOPICS, consumer_group(pipeline))) as consumer:
        commits = consumer.committed([TopicPartition(t, p) for t in INPUT_TOPICS for p in range(partitions)])
    ranges = {
        tp: None if commit is None else TimeRange.from_metadata(commit.metadata) for tp, commit in commits.items()
    }
    foreign = [tp for tp, commit in commits.items() if commit is not None and ranges[tp] is None]
    if foreign:
        raise UsageError(
            f"pipeline {pipeline} has read {foreign[0].topic} as a live pipeline: its offsets are not touched; "
            "use another name with --pipeline"
        )
    videos = [ranges[TopicPartition(VIDEO_TOPIC, partition)] for partition in range(partitions)]
    return StoredRange(ranges[AGREEMENT_TP], done=all(each is not None and each.done for each in videos))


def reject_reprocessing_group(consumer: GroupConsumer, pipeline: str) -> None:
    """Keep a live worker out of a group that reprocesses a time range.

    Raises:
        UsageError: the group reprocesses.
    """
    commit = consumer.committed([AGREEMENT_TP])[AGREEMENT_TP]
    time_range = None if commit is None else TimeRange.from_metadata(commit.metadata)
    if time_range is not None:
        raise UsageError(
            f"pipeline {pipeline} reprocesses {time_range}: continue it with `triptych work --from …`, "
            "or use another pipeline name"
        )


def agree_on_time_range(
    consumer: GroupConsumer, proposed: TimeRange, start_offset: int, stop: threading.Event
) -> TimeRange:
    """Join the group and return the range that it processes. Blocks until the range is known.

    The owner of partition 0 commits `proposed` if no range is stored. Nothing is read meanwhile.

    Args:
        consumer: the group's consumer.
        proposed: the range that this worker resolved.
        start_offset: the offset of `AGREEMENT_TP` at which `proposed` begins, with its lead.
        stop: ends the wait; `proposed` is returned then, and is not stored.

    Raises:
        UsageError: the group's members do not reprocess.
    """
    while not stop.is_set():
        poll = consumer.poll(_POLL_S)
        consumer.pause(consumer.assignment())
        if poll.revoking:
            consumer.complete_revocation()
            continue
        try:
            commit = consumer.committed([AGREEMENT_TP])[AGREEMENT_TP]
            if commit is None and AGREEMENT_TP in consumer.assignment():
                consumer.commit({AGREEMENT_TP: Commit(start_offset, proposed.to_metadata())})
                return proposed
        except (CommitRefusedError, RetriableError):
            continue
        if commit is not None:
            time_range = TimeRange.from_metadata(commit.metadata)
            if time_range is None:
                raise UsageError("another worker of this pipeline does not reprocess; use another name with --pipeline")
            return time_range
    return proposed


def _check_no_results(transport: Transport, pipeline: str, partitions: int) -> None:
    tps = [TopicPartition(results_topic(pipeline), partition) for partition in range(partitions)]
    with closing(transport.reader(dict.fromkeys(tps, 0))) as reader:
        written = sum(reader.end_offsets(tps).values())
    if written:
        raise UsageError(
            f"{results_topic(pipeline)} has results that this reprocessing did not make: they are not touched; "
            "use another name with --pipeline"
        )
